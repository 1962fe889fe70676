"""Settings of the two-tower recommender around its network: plain dataclasses, checked as `RunConfig` is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from streamrec.models.settings import TwoTowerConfig
from streamrec.training.settings import TrainConfig


@dataclass(frozen=True)
class TowersTrainConfig(TrainConfig):
    """The training loop's settings, by default for towers.

    All epochs are run, on the rows that the split gives: `patience`, `tolerance`, `validation_share` and
    `max_rows` are not read.
    """

    epochs: int = 20
    """Passes over the training events."""
    batch_size: int = 1024
    """Events per step."""
    learning_rate: float = 2e-3
    """Peak of the learning rate."""


@dataclass(frozen=True)
class TowersConfig:
    """How towers are fitted."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    network: TwoTowerConfig = field(default_factory=TwoTowerConfig)
    train: TowersTrainConfig = field(default_factory=TowersTrainConfig)
    half_lives_days: tuple[float | None, ...] = (3.0, 7.0, 14.0, 30.0, 90.0, None)
    """Half-lives of popularity to choose from on validation; null: all events count alike."""
    linear_items: int = 10_000
    """Catalogues of more items have no linear part: it inverts a matrix of their size."""
    linear_rank: int = 256
    """Width of the linear part."""
    linear_penalties: tuple[float, ...] = (100.0, 200.0, 400.0, 800.0)
    """Penalties of the linear part to choose from on validation."""

    def __post_init__(self) -> None:
        if not self.half_lives_days or any(h is not None and not h > 0 for h in self.half_lives_days):
            raise ValueError(f"half_lives_days must be positive or null, found {list(self.half_lives_days)}")
        if not self.linear_penalties or min(self.linear_penalties) <= 0:
            raise ValueError(f"linear_penalties must be positive, found {list(self.linear_penalties)}")
        if self.linear_items < 0 or self.linear_rank < 1:
            raise ValueError(
                f"linear_items must be 0 or more and linear_rank 1 or more, found {self.linear_items} and "
                f"{self.linear_rank}"
            )
