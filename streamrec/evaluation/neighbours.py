"""Exact neighbours of a sample, and how two spaces agree on them; NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]
Shares = NDArray[np.float64]

BLOCK = 512
"""Queries compared at once: 512 x 20,000 similarities are 40 MB."""


def unit_rows(vectors: Floats) -> Floats:
    """Rows (n, d) scaled to length 1; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-12)


def squared_distances(queries: Floats, vectors: Floats) -> Floats:
    """Squared Euclidean distances (q, n) of queries (q, d) to vectors (n, d)."""
    distances = queries @ vectors.T
    distances *= -2
    distances += (queries**2).sum(1)[:, None]
    distances += (vectors**2).sum(1)[None, :]
    return np.maximum(distances, 0, out=distances)


def nearest(vectors: Floats, queries: Positions, k: int) -> Positions:
    """Positions (q, k) of the k nearest rows to the rows at `queries`, themselves excluded; Euclidean.

    Cosine neighbours are those of `unit_rows`. Rows equally near come in an arbitrary but fixed order.
    """
    found = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        distances = squared_distances(vectors[block], vectors)
        distances[np.arange(len(block)), block] = np.inf
        chosen = np.argpartition(distances, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distances, chosen, 1), axis=1, kind="stable")
        found[start : start + BLOCK] = np.take_along_axis(chosen, order, 1)
    return found


def neighbour_recall(found: Positions, features: Floats, queries: Positions) -> float:
    """Mean of `neighbour_recalls`."""
    return float(neighbour_recalls(found, features, queries).mean())


def neighbour_recalls(found: Positions, features: Floats, queries: Positions) -> Shares:
    """Share (q,) of `found` (q, k) that are among the k nearest of `features`, ties counted as found.

    A neighbour counts when it is no farther in the feature space than the k-th nearest: where several items
    have equal features, any of them is right.
    """
    truth = nearest(features, queries, found.shape[1])
    shares = np.empty(len(found))
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        origin = features[queries[block]][:, None]
        # By differences: `squared_distances` rounds by a share of the lengths, which parts equal items.
        limit = ((features[truth[block]] - origin) ** 2).sum(2).max(1, keepdims=True)
        reached = ((features[found[block]] - origin) ** 2).sum(2)
        shares[block] = (reached <= limit * (1 + 1e-5)).mean(1)
    return shares


def purity(found: Positions, codes: NDArray[np.int64], queries: Positions) -> float:
    """Mean of `purities`."""
    return float(purities(found, codes, queries).mean())


def purities(found: Positions, codes: NDArray[np.int64], queries: Positions) -> Shares:
    """Share (q,) of the neighbours `found` (q, k) that have their query's category; `codes` (n,)."""
    return np.asarray((codes[found] == codes[queries][:, None]).mean(1))


def label_overlap(found: Positions, labels: Floats, queries: Positions) -> float:
    """Mean of `label_overlaps`."""
    return float(label_overlaps(found, labels, queries).mean())


def label_overlaps(found: Positions, labels: Floats, queries: Positions) -> Shares:
    """Mean (q,) of the Jaccard indices between a query's labels and its neighbours'; `labels` (n, L).

    Two items without labels agree fully.
    """
    own = labels[queries][:, None, :]
    theirs = labels[found]
    union = np.maximum(own, theirs).sum(2)
    shared = np.minimum(own, theirs).sum(2)
    return np.asarray(np.where(union > 0, shared / np.maximum(union, 1), 1.0).mean(1, dtype=np.float64))


def list_overlaps(first: Positions, second: Positions) -> Shares:
    """Share (q,) of the neighbours in `first` (q, k) that are in `second` (q, k) too, in any order."""
    return np.asarray((first[:, :, None] == second[:, None, :]).any(2).mean(1))


def pca(vectors: Floats, dimension: int) -> tuple[Floats, Floats, Floats]:
    """Mean (D,), components (d, D) and projections (n, d) of the rows (n, D); d = min(dimension, D)."""
    mean = vectors.mean(0)
    centred = vectors - mean
    _, vectors_by_value = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    components = vectors_by_value[:, ::-1].T[:dimension].astype(np.float32)
    return mean, components, centred @ components.T


def draw_positions(rng: np.random.Generator, total: int, wanted: int) -> Positions:
    """At most `wanted` of the positions below `total`, drawn without replacement, ascending."""
    if total <= wanted:
        return np.arange(total)
    return np.sort(rng.choice(total, size=max(wanted, 0), replace=False))
