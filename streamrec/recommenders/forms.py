"""The two forms that most classical recommenders end in: item to item, and dot product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from streamrec.errors import StreamRecError
from streamrec.interactions.table import Interactions, Positions

Floats = NDArray[np.float32]


class RecommenderError(StreamRecError):
    """A recommender cannot be fitted to these events with these settings."""


@dataclass(frozen=True)
class Fallback:
    """What users without a single event get: the items by their number of events."""

    counts: Floats
    """(I,) events of each item."""
    empty: NDArray[np.bool_]
    """(U,) true for users without events."""

    @classmethod
    def of(cls, events: Interactions) -> Fallback:
        """Read from the events that the recommender is fitted to."""
        lengths = np.bincount(events.users, minlength=len(events.user_ids))
        return cls(events.item_counts().astype(np.float32), lengths == 0)

    def fill(self, scores: Floats, users: Positions) -> Floats:
        """`scores` (u, I), the rows of users without events overwritten in place."""
        scores[self.empty[users]] = self.counts
        return scores


@dataclass(frozen=True)
class ItemToItem:
    """The score of an item is the sum of its similarities with the user's items."""

    name: str
    history: sp.csr_matrix
    """(U, I), 1 where the user has the item."""
    similarity: NDArray[np.float32] | sp.csr_matrix
    """(I, I): row j is what having item j adds to the score of each item."""
    fallback: Fallback

    def scores(self, users: Positions) -> Floats:
        """(u, I) float32, higher is better; users without events get the popularity order."""
        found = self.history[users] @ self.similarity
        dense = found.toarray() if sp.issparse(found) else np.asarray(found)
        return self.fallback.fill(dense.astype(np.float32, copy=False), users)


@dataclass(frozen=True)
class DotProduct:
    """The score of an item is the inner product of its vector and the user's."""

    name: str
    users: Floats
    """(U, k)."""
    items: Floats
    """(I, k)."""
    fallback: Fallback

    def scores(self, users: Positions) -> Floats:
        """(u, I) float32, higher is better; users without events get the popularity order."""
        return self.fallback.fill(self.users[users] @ self.items.T, users)


def unit(vectors: NDArray[np.float32]) -> Floats:
    """Rows (n, d) at length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def known_items(events: Interactions) -> Positions:
    """Positions of the items with at least one event: only they tell anything about taste.

    Raises:
        RecommenderError: there is none.
    """
    found = np.flatnonzero(events.item_counts())
    if not len(found):
        raise RecommenderError("no training events: expected at least one; check the split and min_rating")
    return found
