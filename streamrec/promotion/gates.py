"""Settings of the gates: what a challenger may lose against the champion and still replace it.

A figure is lost where even the upper end of the 95% interval of the paired difference, challenger less
champion, lies below minus the tolerance: the interval is for the luck of the items or users that were held
out, the tolerance for the luck of a training.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Gates(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    index_recall: float | None = Field(0.01, ge=0, le=1)
    """ANN recall of the index may be this much below `publish.min_recall`; null: no such gate."""
    draws: int = Field(2_000, ge=100)
    """Draws of items or users behind the intervals."""


class GatesConfig(_Gates):
    """What a new item encoder is held to, on held-out items; null takes a gate away."""

    neighbour_recall: float | None = Field(0.05, ge=0, le=1)
    """Tolerance of the share of neighbours that are neighbours in the feature space."""
    purity: float | None = Field(0.05, ge=0, le=1)
    """Tolerance, for each categorical column, of the share of neighbours in the item's category."""
    label_overlap: float | None = Field(0.05, ge=0, le=1)
    """Tolerance, for each multi-label column, of the neighbours' mean Jaccard index with the item."""
    variance_kept: float | None = Field(0.05, ge=0)
    """Tolerance of the share of the within-category numeric variance that the decoder explains."""
    list_overlap: float | None = Field(0.5, ge=0, le=1)
    """At least this mean overlap of the neighbour lists with the champion's."""


class TowerGatesConfig(_Gates):
    """What new towers are held to beside beating their baselines; null takes a gate away."""

    figures: float | None = Field(0.05, ge=0, le=1)
    """Tolerance of each judged figure, as a share of the champion's."""
