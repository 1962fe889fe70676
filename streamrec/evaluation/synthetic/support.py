"""Support: whether synthetic rows lie where real rows do (precision), and everywhere they do (recall)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.synthetic.distances import neighbour_distances, squared_distance_blocks

Floats = NDArray[np.float64]

NEIGHBOURS = 5
ROUNDING = 1e-9
"""Squared distances that differ by less, or by this share, are equal: a row on the edge is not inside."""


@dataclass(frozen=True)
class Support:
    """How the supports of real and synthetic rows agree, by balls up to the k-th nearest neighbour."""

    precision: float
    """Share of the synthetic rows inside a real row's ball (Kynkäänniemi et al. 2019)."""
    recall: float
    """Share of the real rows inside a synthetic row's ball (Kynkäänniemi et al. 2019)."""
    density: float
    """Mean over the synthetic rows of the real balls that hold one, over k; about 1 for real rows, and not
    bounded by it (Naeem et al. 2020)."""
    coverage: float
    """Share of the real rows whose ball holds a synthetic row (Naeem et al. 2020); grows with the rows."""

    def to_dict(self) -> dict[str, float]:
        """JSON-ready form."""
        return asdict(self)


def support(
    real: Floats, synthetic: Floats, k: int = NEIGHBOURS, real_radii: Floats | None = None
) -> Support:
    """Compare the supports of real (n, D) and synthetic (m, D) rows, placed in one `DistanceSpace`.

    `real_radii` (n,), `neighbour_distances(real, k)`, saves finding them again for every synthetic table.
    A row is inside a ball when it is nearer to the centre than the radius.

    Raises:
        CatalogError: fewer than k + 1 rows in either table.
    """
    radii = neighbour_distances(real, k) if real_radii is None else real_radii
    real_limits, synthetic_limits = _limits(radii), _limits(neighbour_distances(synthetic, k))
    inside_real = np.zeros(len(synthetic), np.int64)
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    for where, squared in squared_distance_blocks(real, synthetic):
        inside = squared < real_limits[where, None]
        inside_real += inside.sum(0)
        covered[where] = inside.any(1)
        recalled[where] = (squared < synthetic_limits).any(1)
    return Support(
        precision=float((inside_real > 0).mean()),
        recall=float(recalled.mean()),
        density=float(inside_real.mean() / k),
        coverage=float(covered.mean()),
    )


def _limits(radii: Floats) -> Floats:
    """Squared radii, less what rounding may hide."""
    return radii**2 * (1 - ROUNDING) - ROUNDING
