"""`LatentQuality`: what was measured of an encoder, and what its evaluation writes; told without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class SpaceQuality:
    """How well neighbours in one space serve as item neighbours; shares from 0 to 1."""

    neighbour_recall: float
    """Share of the k cosine neighbours that are among the k nearest in the feature space."""
    neighbour_recall_euclidean: float
    """The same for Euclidean neighbours."""
    variance_kept: float | None
    """Share of the within-category numeric variance of held-out items that the decoder explains."""
    purity: dict[str, float]
    """Per categorical column: share of the cosine neighbours that have the item's category."""
    label_overlap: dict[str, float]
    """Per multi-label column: mean Jaccard index of the item's labels and its neighbours'."""


@dataclass(frozen=True)
class LatentQuality:
    """What an `ItemVAE` keeps, measured on held-out items."""

    spaces: dict[str, SpaceQuality]
    """`latent`, `pca` of the same width, and `features` (the encoded features themselves)."""
    columns: list[dict[str, Any]]
    """Per column: name, kind, and `explained`, 1 minus the error over that of knowing only the marginal
    (squared error of numbers, cross-entropy of categories and labels)."""
    kl_per_unit: list[float]
    """Nats, averaged over the items."""
    mean_variance: list[float]
    """Variance over the items of each unit's posterior mean."""
    active_units: int
    """Units whose mean varies by more than 0.01."""
    queries: int
    """Held-out items whose neighbours were compared."""
    reference: int
    """Items among which neighbours were searched."""
    k: int
    """Neighbours per item."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def metrics(self) -> dict[str, float]:
        """The numbers worth tracking from run to run, by name."""
        found: dict[str, float] = {"active_units": self.active_units}
        for name, space in self.spaces.items():
            found[f"{name}_neighbour_recall"] = space.neighbour_recall
            found[f"{name}_neighbour_recall_euclidean"] = space.neighbour_recall_euclidean
            if space.variance_kept is not None:
                found[f"{name}_variance_kept"] = space.variance_kept
            found |= {f"{name}_purity_{column}": value for column, value in space.purity.items()}
            found |= {f"{name}_overlap_{column}": value for column, value in space.label_overlap.items()}
        return found
