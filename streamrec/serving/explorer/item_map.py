"""`ItemMap`: the items of one bundle as points of the plane, and where anything else would be among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.neighbours import Floats, Positions, draw_positions
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.index import IndexKind, ItemIndex, normalised
from streamrec.serving.explorer.layout import arrange, principal_plane

MAX_POINTS = 100_000
"""Items shown; of more, a seeded sample."""
NEIGHBOURS = 10
"""Nearest items that a point is drawn to."""
PROBES = 12
"""Inverted lists searched for them: about nine of ten are found, and the picture does not change."""
EXACT_POINTS = 20_000
"""Up to here their neighbours are found by an exact scan in less time than lists take to build."""
PLACED_AMONG = 5
"""Nearest points whose mean place stands for something that is not on the map."""
SHARPNESS = 20.0
"""Weight of those points: exp(SHARPNESS * cosine), so that the nearest decides between two clusters."""
FAR = 0.0005
"""Share of the points at each side that may lie outside the map's frame; they are put on its edge."""
MARGIN = 0.03
"""Empty share of the frame at each side."""
LARGEST = 65_535
"""Coordinates are whole numbers from 0 to here."""

Places = NDArray[np.uint16]


@dataclass(frozen=True)
class ItemMap:
    """Where the items of one bundle are drawn."""

    bundle: Bundle
    """The bundle it was made of."""
    positions: Positions
    """(m,) rows of the bundle that are on the map, ascending."""
    places: Places
    """(m, 2) coordinates x, y of each; y grows upwards."""

    @classmethod
    def of(cls, bundle: Bundle, max_points: int = MAX_POINTS) -> ItemMap:
        """Arrange a bundle's items, or a sample of them, seeded by the bundle's own seed.

        Every process that serves the bundle makes the same map. It takes seconds: call it in a thread.
        """
        manifest, index = bundle.manifest, bundle.searcher.index
        positions = draw_positions(np.random.default_rng(manifest.seed), manifest.rows, max_points)
        vectors = index.vectors(positions)
        start = principal_plane(vectors)
        arranged = arrange(start, neighbours(vectors, manifest.seed), manifest.seed)
        return cls(bundle, positions, to_frame(arranged))

    @property
    def sampled(self) -> bool:
        """Whether the bundle has more items than the map."""
        return len(self.positions) < self.bundle.manifest.rows

    def points(self, positions: Positions) -> NDArray[np.int64]:
        """(q,) point of the map for each row of the bundle; -1 where the row is not on it."""
        at = np.searchsorted(self.positions, positions)
        at[at == len(self.positions)] = 0
        return np.where(self.positions[at] == positions, at, -1)

    def place(self, vectors: Floats) -> Places:
        """Places (q, 2) for embeddings (q, d): the weighted mean of their nearest points'."""
        index, rows = self.bundle.searcher.index, None
        if self.sampled:
            rows = np.zeros(index.rows, dtype=bool)
            rows[self.positions] = True
        wanted = min(PLACED_AMONG, len(self.positions))
        scores, found = index.search(normalised(vectors), wanted, rows)
        weights = np.where(found < 0, 0.0, np.exp(SHARPNESS * scores.astype(np.float64)))
        near = self.places[self.points(found.ravel())].reshape(*found.shape, 2)
        mean = np.einsum("qk,qkc->qc", weights, near) / np.maximum(weights.sum(1), 1e-300)[:, None]
        return np.rint(mean).astype(np.uint16)

    def places_of(self, positions: Positions) -> tuple[NDArray[np.int64], Places]:
        """Point (q,) and place (q, 2) of rows of the bundle, on the map or not."""
        points = self.points(positions)
        places = self.places[points]
        beside = points < 0
        if beside.any():
            places[beside] = self.place(self.bundle.searcher.index.vectors(positions[beside]))
        return points, places


def neighbours(vectors: Floats, seed: int) -> Positions:
    """Positions (n, k) of each row's nearest others by cosine, k at most 10; -1 where fewer were found."""
    rows = len(vectors)
    wanted = min(NEIGHBOURS + 1, rows)
    kind: IndexKind = "flat" if rows <= EXACT_POINTS else "ivf"
    index = ItemIndex.build(kind, lambda: iter([vectors]), rows, vectors.shape[1], seed)
    if index.lists is not None:
        index.nprobe = min(PROBES, index.lists)
    found = index.search(vectors, wanted)[1]
    # A row is its own nearest, but not always first among equals.
    found[found == np.arange(rows)[:, None]] = -1
    order = np.argsort(found < 0, axis=1, kind="stable")[:, : max(wanted - 1, 1)]
    return np.take_along_axis(found, order, axis=1)


def to_frame(arranged: Floats) -> Places:
    """Coordinates (n, 2) in whole numbers, of one scale for both axes, the middle of the cloud central."""
    low, high = np.quantile(arranged, [FAR, 1 - FAR], axis=0)
    span = float((high - low).max()) or 1.0
    share = (arranged - (low + high) / 2) / span * (1 - 2 * MARGIN) + 0.5
    return np.rint(np.clip(share, 0, 1) * LARGEST).astype(np.uint16)
