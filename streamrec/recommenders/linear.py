"""`LinearFactors`: the closed-form linear item-to-item model as two narrow matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from streamrec.interactions.table import Interactions
from streamrec.recommenders.content_map import ContentMap
from streamrec.recommenders.ease import ease
from streamrec.recommenders.forms import known_items

ROUNDS = 4
"""Times that the diagonal is filled in again."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LinearFactors:
    """A history h (I,) scores item j by the sum of `history[i] @ item[j]` over its items i."""

    history: Floats
    """(I, r)."""
    item: Floats
    """(I, r)."""
    new: ContentMap
    """From the scaled content of an item without events to what `item` would be."""

    def take(self, items: NDArray[np.int64]) -> LinearFactors:
        """Factors of the items at these positions."""
        return LinearFactors(self.history[items], self.item[items], self.new)

    @classmethod
    def of(cls, events: Interactions, content: Floats, penalty: float, rank: int, seed: int) -> LinearFactors:
        """Factors of EASE's weights B (Steck 2019).

        Nobody is recommended what they have seen, so B's diagonal is free: it is filled in by the product
        itself, over a few rounds. Rows count by the square root of their item's events. Items without events
        have what their scaled content (I, F) leads to expect.

        Raises:
            RecommenderError: too many items for the closed form.
        """
        weights = np.asarray(ease(events, penalty).similarity)
        counts = np.sqrt(events.item_counts() + 1.0).astype(np.float32)[:, None]
        rank = min(rank, len(weights))
        matrix = weights * counts
        for _ in range(ROUNDS):
            left, values, right = randomized_svd(matrix, rank, n_iter=3, random_state=seed)
            diagonal = np.einsum("ir,r,ri->i", left, values, right)
            np.fill_diagonal(matrix, diagonal)
        root = np.sqrt(values)
        item = np.ascontiguousarray((right.T * root).astype(np.float32))
        known = known_items(events)
        new = ContentMap.of(content[known], item[known])
        unknown = np.setdiff1d(np.arange(len(item)), known)
        item[unknown] = new(content[unknown])
        return cls((left * root / counts).astype(np.float32), item, new)
