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
    """Passes over the training rows."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, found {self.epochs}")
