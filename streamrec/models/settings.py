"""Settings of the models: plain dataclasses, so that models need nothing but torch.

`config.py` checks their types and unknown names; bounds are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class ItemVAEConfig:
    """Settings of `ItemVAE`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    latent_dim: int = 16
    """Width of the latent, and of the published embedding."""
    hidden: tuple[int, ...] = (128,)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""

    def __post_init__(self) -> None:
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, found {self.latent_dim}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must be one or more positive widths, found {list(self.hidden)}")
