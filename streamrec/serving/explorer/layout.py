"""`arrange`: points of the plane that keep neighbours together; NumPy only, seconds for 100,000 items.

It starts from the first two principal components and follows the gradient of the negative-sampling loss of
UMAP (McInnes, Healy and Melville 2018) with the Cauchy kernel q(d) = 1 / (1 + d^2), as in Damrich et al.
2023, "From t-SNE to UMAP with contrastive learning": each point is drawn to its neighbours and pushed from
points drawn at random. All points move at once, so that an epoch is a few array operations.
"""

from __future__ import annotations

import numpy as np

from streamrec.evaluation.neighbours import Floats, Positions, pca

EPOCHS = 120
"""Steps along the gradient."""
NEGATIVES = 10
"""Random points that a point is pushed from in each step."""
PULL = 2.0
"""Weight of the mean pull of the neighbours."""
PUSH = (1.0, 80.0)
"""Weight of the mean push, at the first step and at the last: weak ones let stray points find their
neighbours first, strong ones then give every cluster room."""
START_SPREAD = 10.0
"""Standard deviation of the first component at the start, as UMAP's initial layouts have."""
LONGEST_STEP = 4.0
"""A push never moves a point farther: two points may be at the same place."""
BLOCK = 16_384
"""Points handled at once: their neighbours' places stay in the cache."""


def principal_plane(vectors: Floats) -> Floats:
    """The first two principal components (n, 2) of vectors (n, d), largest spread 1; zeros where d is 1."""
    plane = np.zeros((len(vectors), 2), dtype=np.float32)
    projected = pca(vectors, 2)[2]
    plane[:, : projected.shape[1]] = projected
    spread = float(plane.std(0).max())
    return plane / spread if spread > 0 else plane


def arrange(start: Floats, neighbours: Positions, seed: int, epochs: int = EPOCHS) -> Floats:
    """Places (n, 2) where each point is near its neighbours; the same arguments give the same bits.

    Args:
        start: places (n, 2) to begin with, spread 1: see `principal_plane`.
        neighbours: positions (n, k) of each point's nearest others; -1 where it has fewer.
        seed: of the random points.
        epochs: steps along the gradient.
    """
    places = np.ascontiguousarray(start, dtype=np.float32) * np.float32(START_SPREAD)
    if len(places) < 3:
        return places
    rng = np.random.default_rng([seed, len(places)])
    # A missing neighbour is the point itself, which does not draw it.
    linked = np.where(neighbours < 0, np.arange(len(places))[:, None], neighbours)
    for epoch in range(epochs):
        done = epoch / epochs
        weight = np.float32(PUSH[0] + done * (PUSH[1] - PUSH[0]))
        places = places + np.float32(1 - done) * (_pull(places, linked) + _push(places, weight, rng))
    return places


def _pull(places: Floats, linked: Positions) -> Floats:
    """Step (n, 2) towards the neighbours: the gradient of log q, which is 2 (y_j - y_i) / (1 + d^2)."""
    step = np.empty_like(places)
    for first in range(0, len(places), BLOCK):
        block = slice(first, first + BLOCK)
        way = places[linked[block]]
        way -= places[block, None]
        weight = np.float32(2) / (1 + np.einsum("nkd,nkd->nk", way, way))
        step[block] = np.einsum("nk,nkd->nd", weight, way)
    return step * np.float32(PULL / linked.shape[1])


def _push(places: Floats, weight: np.float32, rng: np.random.Generator) -> Floats:
    """Step (n, 2) away from random points: that of log (1 - q), which is 2 (y_i - y_j) / (d^2 (1 + d^2))."""
    step = np.zeros_like(places)
    for _ in range(NEGATIVES):
        way = places - places[rng.integers(len(places), size=len(places))]
        squared = np.einsum("nd,nd->n", way, way)
        way *= (2 / ((np.float32(1e-3) + squared) * (1 + squared)))[:, None]
        step += way
    return np.clip(step * (weight / np.float32(NEGATIVES)), -LONGEST_STEP, LONGEST_STEP)
