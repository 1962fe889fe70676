"""Items like those the user had, by content: item-kNN without a single event in the similarity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from streamrec.interactions.table import Interactions, Positions
from streamrec.recommenders.forms import Fallback, Floats, ItemToItem, known_items, unit

BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Neighbours:
    """The k known items nearest to each of I items by cosine, the nearest first; never the item itself."""

    items: Positions
    """(I, k) positions."""
    cosines: Floats
    """(I, k); -inf where there are fewer than k."""


def content_knn(
    events: Interactions, features: Floats, neighbours: Sequence[int], centred: bool, seed: int
) -> Iterator[ItemToItem]:
    """For each k of `neighbours`: the sum of cosines with those of an item's k nearest that the user has.

    Neighbours are sought among items with events, so an item without any is scored like the others.
    `features` (I, F) describe the items; `centred` subtracts the mean of the items with events first. Equal
    cosines are ordered by a seeded permutation.
    """
    history, fallback, size = events.matrix(), Fallback.of(events), len(features)
    found = nearest_known(features, known_items(events), max(neighbours), centred, seed)
    for k in neighbours:
        cosines = found.cosines[:, :k]
        kept = np.isfinite(cosines)
        targets = np.broadcast_to(np.arange(size)[:, None], kept.shape)[kept]
        cells = (found.items[:, :k][kept], targets)
        similarity = sp.csr_matrix((cosines[kept], cells), shape=(size, size))
        yield ItemToItem("content-knn", history, similarity, fallback)


def nearest_known(features: Floats, known: Positions, k: int, centred: bool, seed: int) -> Neighbours:
    """Exact, in blocks of rows; k is cut at the number of known items."""
    vectors = unit(features - features[known].mean(0)) if centred else unit(features)
    # Positions often follow popularity: equals must not be taken in their order.
    candidates = np.random.default_rng(seed).permutation(known)
    column = np.full(len(features), -1)
    column[candidates] = np.arange(len(candidates))
    k = min(k, len(candidates))
    items = np.empty((len(features), k), np.int64)
    cosines = np.empty((len(features), k), np.float32)
    for start in range(0, len(features), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS] @ vectors[candidates].T
        own = column[start : start + BLOCK_ROWS]
        block[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        best = np.argpartition(block, len(candidates) - k, axis=1)[:, len(candidates) - k :]
        values = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        items[start : start + BLOCK_ROWS] = candidates[np.take_along_axis(best, order, axis=1)]
        cosines[start : start + BLOCK_ROWS] = np.take_along_axis(values, order, axis=1)
    return Neighbours(items, cosines)
