"""Settings of the training loop: plain dataclasses, so that it needs nothing but torch.

`config.py` checks their types and unknown names; bounds are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the training loop."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 60
    """Passes over the training rows, at most (`patience`)."""
    batch_size: int = 256
    """Items per step."""
    learning_rate: float = 3e-3
    """Peak of the learning rate: it rises over `warmup`, then falls to 0 as half a cosine."""
    warmup: float = 0.05
    """Share of the training over which the learning rate rises."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    clip_norm: float | None = 10.0
    """Gradients are scaled down to this norm; null: never."""
    ema_decay: float | None = None
    """Validate and keep an exponential moving average of the weights with this decay per step."""
    validation_share: float = 0.1
    """Share of the items held out for early stopping and evaluation (split by item, seeded)."""
    patience: int | None = 30
    """Stop after this many epochs without a better validation loss; null: never."""
    tolerance: float = 0.0
    """Keep the latest weights whose validation loss is above the lowest by at most this share of it."""
    max_rows: int = 200_000
    """Train on at most this many items (a seeded sample); every item is encoded all the same."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto`: cuda, else mps, else cpu."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto`: bfloat16 autocast on cuda devices that have it, else float32."""
    checkpoint_every: int = 10
    """Epochs between checkpoints; an interrupted training goes on from the last one."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_rows", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2: batch normalisation needs two items")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, found {self.learning_rate}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be a share from 0 to below 1, found {self.warmup}")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay must not be negative, found {self.weight_decay}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive, found {self.clip_norm}; null: never clip")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be between 0 and 1, found {self.validation_share}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1, found {self.ema_decay}")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance must not be negative, found {self.tolerance}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, found {self.patience}")
