"""What a run over users is told: events in, towers that recommend the published items out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streamrec.config import PublishConfig, Stage, StoreConfig
from streamrec.interactions.settings import (
    InteractionsConfig,
    InteractionsValidationConfig,
    SplitConfig,
    UsersConfig,
)
from streamrec.promotion.gates import TowerGatesConfig
from streamrec.recommenders.settings import TowersConfig
from streamrec.stages.settings import StagesConfig

Figure = Annotated[str, Field(pattern=r"^(recall|ndcg|mrr|hit)@(10|20|50)$")]
"""A metric of rankings and the rank up to which it reads, as `ndcg@10`."""
Baseline = Literal[
    "popular",
    "recent-popular",
    "content-knn",
    "content-profile",
    "latent-profile",
    "content-ridge",
    "als",
    "als-map",
    "als-knn",
    "ease",
]
"""A classical recommender of `recommenders.baselines`."""
BASELINES: dict[str, tuple[Baseline, ...]] = {
    "time": ("popular", "recent-popular", "ease", "latent-profile"),
    "user": ("popular", "ease", "content-ridge", "latent-profile"),
    "item": ("popular", "content-knn", "content-ridge", "latent-profile"),
}
"""What towers have to beat unless told otherwise, by the kind of split."""


class JudgeConfig(Stage):
    """How towers are compared with their baselines."""

    judged: tuple[Figure, ...] = Field(("ndcg@10", "recall@20"), min_length=1)
    """Figures that decide; the first also chooses the baselines' settings on validation."""
    draws: int = Field(2_000, ge=100)
    """Draws of users behind the 95% intervals."""


class TowersTrackConfig(StoreConfig):
    """Where runs over users, and their models, are recorded."""

    experiment: str = "streamrec-users"
    model_name: str = "streamrec-two-tower"
    """Registered model."""


class UserRetrievalConfig(Stage):
    """A whole run that trains towers on the published items and recommends them to users."""

    seed: int = Field(42, ge=0)
    """Seed of everything random: split, initial weights, batches, ties, indexes."""
    out: Path = Path("data")
    """Folder for runs and published bundles; its current bundle has the items."""
    interactions: InteractionsConfig
    """Who consumed what and when."""
    users: UsersConfig | None = None
    """Features of users; without them a user is known by the items seen."""
    checks: InteractionsValidationConfig = InteractionsValidationConfig()
    """What is expected of the events."""
    split: SplitConfig = SplitConfig()
    towers: TowersConfig = Field(default_factory=TowersConfig)
    baselines: tuple[Baseline, ...] | None = Field(None, min_length=1)
    """What the towers have to beat to be published; null: those of `BASELINES` that can be fitted."""
    evaluate: JudgeConfig = JudgeConfig()
    gates: TowerGatesConfig = TowerGatesConfig()
    track: TowersTrackConfig = TowersTrackConfig()
    publish: PublishConfig = PublishConfig()
    stages: StagesConfig = StagesConfig()

    @model_validator(mode="after")
    def _consistent(self) -> UserRetrievalConfig:
        if self.split.kind == "time" and self.interactions.timestamp is None:
            raise ValueError(
                "'split.kind' time needs 'interactions.timestamp', the column with the events' time; "
                "name it or set split.kind to user"
            )
        named = self.baselines or ()
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"baselines: '{name}' is there twice; name it once")
        return self
