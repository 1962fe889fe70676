"""`TowerSearch`: the best items for users, without those they have seen, and the users that suit items."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from streamrec.errors import BundleError
from streamrec.retrieval.ids import Ids
from streamrec.retrieval.index import ItemIndex, normalised
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.manifest import TowerFacts

_SHORT = 16
"""Shorter histories are searched as if of this length: that many more results cost next to nothing."""
_CELLS = 4_000_000
"""Scores held at once while seen items are left out."""


@dataclass(frozen=True)
class TowerSearch:
    """Both indexes and the users; safe to use from several threads at once."""

    facts: TowerFacts
    items: Ids
    users: Ids
    item_index: ItemIndex
    user_index: ItemIndex
    histories: Lists
    """Positions of the items that each user has seen, the oldest first."""

    def items_for(
        self, vectors: np.ndarray, k: int, rows: np.ndarray | None = None, without: Lists | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` items with the highest inner product with each vector (q, d).

        With `rows` or `without` the result is exact, whatever the index, and complete: fewer than `k` are
        found only where no more are left. That holds because k plus as many items as a query has to leave
        out are fetched, or all there are: at most those left out can be among them.

        Args:
            vectors: as the towers make them.
            k: items wanted, at least 1.
            rows: (items,) bool; only these are considered.
            without: per vector, positions of items to leave out.

        Returns:
            Scores (q, k), best first, -inf where there are fewer; positions (q, k), -1 there.

        Raises:
            BundleError: a vector of another dimension or not finite; `k` below 1.
        """
        queries = self._checked(vectors, k)
        if without is None or not len(without.values):
            return _padded(*_best(self.item_index, queries, k, rows), k)
        available = self.facts.items if rows is None else int(rows.sum())
        # Groups of about equal fetches: one user with a long history must not slow the others down.
        extra = 2 ** np.ceil(np.log2(np.maximum(without.lengths, _SHORT))).astype(np.int64)
        extra[without.lengths == 0] = 0
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        for more in np.unique(extra):
            group = np.flatnonzero(extra == more)
            fetched = min(k + int(more), available)
            step = max(1, _CELLS // max(fetched, 1))
            for start in range(0, len(group), step):
                own = group[start : start + step]
                found = _best(self.item_index, queries[own], fetched, rows, exact=True)
                scores[own], positions[own] = _leave_out(*found, without.take(own), self.facts.items, k)
        return scores, positions

    def users_for(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` users with the highest inner product with each vector (q, d) of an item.

        Returns and raises as `items_for`.
        """
        return _padded(*_best(self.user_index, self._checked(vectors, k), k, None), k)

    def users_like(self, position: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` other users whose vectors have the highest cosine with a user's, by an exact scan.

        Returns:
            Scores and positions, (k,) each or fewer where there are fewer users.

        Raises:
            BundleError: `k` below 1.
        """
        _check_k(k)
        cosines = self._directions @ self._directions[position]
        cosines[position] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(k, self.facts.users - 1)]
        return np.clip(cosines[best], -1, 1), best

    @cached_property
    def _directions(self) -> np.ndarray:
        return normalised(self.user_index.vectors(np.arange(self.facts.users)))

    def _checked(self, vectors: np.ndarray, k: int) -> np.ndarray:
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        _check_k(k)
        if queries.ndim != 2 or queries.shape[1] != self.facts.dimension:
            raise BundleError(
                f"query: found shape {np.shape(vectors)}, expected (q, {self.facts.dimension}): "
                "vectors of the towers' dimension"
            )
        broken = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if len(broken):
            raise BundleError(f"query: vector {broken[0]} is not finite; remove NaN and infinity")
        return queries


def _check_k(k: int) -> None:
    if k < 1:
        raise BundleError(f"k: found {k}, expected at least 1")


def _best(
    index: ItemIndex, queries: np.ndarray, k: int, rows: np.ndarray | None, exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """As `ItemIndex.search`, but as many as there are: where the probed lists hold fewer, all are."""
    wanted = min(k, index.rows if rows is None else int(rows.sum()))
    if wanted == 0 or not len(queries):
        shape = (len(queries), wanted)
        return np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.int64)
    scores, positions = index.search(queries, wanted, rows, exact)
    short = (positions[:, -1] < 0) if not exact and rows is None else np.zeros(len(queries), dtype=bool)
    if short.any():
        scores[short], positions[short] = index.search(queries[short], wanted, exact=True)
    return scores, positions


def _leave_out(
    scores: np.ndarray, positions: np.ndarray, without: Lists, items: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first `k` of each row of (q, fetched) that are not among those to leave out."""
    keys = np.sort(without.parents() * items + without.values)
    wanted = np.arange(len(positions))[:, None] * items + positions
    if len(keys):
        found = np.searchsorted(keys, wanted.ravel()).reshape(wanted.shape)
        out = keys[np.minimum(found, len(keys) - 1)] == wanted
    else:
        out = np.zeros(wanted.shape, dtype=bool)
    order = np.argsort(out, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(positions, order, axis=1)
    kept_scores = np.take_along_axis(scores, order, axis=1)
    gone = np.take_along_axis(out, order, axis=1)
    kept[gone], kept_scores[gone] = -1, -np.inf
    return _padded(kept_scores, kept, k)


def _padded(scores: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    missing = ((0, 0), (0, k - positions.shape[1]))
    if missing[1][1] == 0:
        return scores, positions
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(positions, missing, constant_values=-1)
