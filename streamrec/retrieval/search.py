"""`Searcher`: neighbours of an item or of any vector, among all items or those that match a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from streamrec.errors import BundleError
from streamrec.retrieval.index import ItemIndex, normalised
from streamrec.retrieval.items import ItemId, ItemTable, Where


@dataclass(frozen=True)
class Neighbours:
    """Items by falling score; fewer than asked for where fewer exist or match."""

    items: pa.Table
    """(k rows) the item ids and published features."""
    scores: np.ndarray
    """(k,) float32: cosines in [-1, 1], or inner products of towers."""
    positions: np.ndarray
    """(k,) int64 row positions in `embeddings.parquet`."""
    id_column: str
    """Column of `items` that holds the ids."""

    @property
    def ids(self) -> list[Any]:
        """Item ids, best first."""
        return list(self.items[self.id_column].to_pylist())

    def __len__(self) -> int:
        return len(self.scores)


class Searcher:
    """Search over one index and its items; safe to use from several threads at once."""

    def __init__(self, index: ItemIndex, items: ItemTable) -> None:
        self.index = index
        self.items = items

    def neighbours(
        self, item_id: ItemId, k: int = 10, where: Where | None = None, exclude_self: bool = True
    ) -> Neighbours:
        """The `k` items closest to an item.

        Args:
            item_id: an id of the bundle; the text `7` finds the integer id 7.
            k: neighbours wanted, at least 1.
            where: column -> value or values; with a filter the result is exact, whatever the index.
            exclude_self: leave the item itself out.

        Raises:
            BundleError: unknown item, column or value; `k` below 1.
        """
        own = np.array([self.items.position(item_id)])
        scores, positions = self.nearest(self.index.vectors(own), k, where, own if exclude_self else None)
        return self._neighbours(scores[0], positions[0])

    def search(self, vectors: np.ndarray, k: int = 10, where: Where | None = None) -> list[Neighbours]:
        """The `k` items closest to each of the vectors (q, d), or to one vector (d,), by cosine.

        Args:
            vectors: of any length: only their direction counts. A vector of zeros scores 0 with every item.
            k: items wanted per vector, at least 1.
            where: as for `neighbours`.

        Raises:
            BundleError: a vector of another dimension or not finite; unknown column or value; `k` below 1.
        """
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        if queries.ndim != 2 or queries.shape[1] != self.index.dimension:
            raise BundleError(
                f"query: found shape {np.shape(vectors)}, expected (q, {self.index.dimension}): "
                "vectors of the bundle's dimension"
            )
        broken = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if len(broken):
            raise BundleError(f"query: vector {broken[0]} is not finite; remove NaN and infinity")
        found = self.nearest(normalised(queries), k, where)
        return [self._neighbours(*row) for row in zip(*found, strict=True)]

    def nearest(
        self, queries: np.ndarray, k: int, where: Where | None = None, without: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` items closest to each query: their positions alone, not their features.

        Args:
            queries: (q, d) float32 rows of length 1 or 0, as the index holds them.
            k: items wanted per query, at least 1.
            where: as for `neighbours`.
            without: (q,) position of the item that each query leaves out.

        Returns:
            Scores and positions, (q, m) both, best first; m is at most `k`. Where a query has fewer, its last
            positions are -1.

        Raises:
            BundleError: unknown column or value; `k` below 1.
        """
        if k < 1:
            raise BundleError(f"k: found {k}, expected at least 1")
        rows = self.items.mask(where) if where else None
        available = self.index.rows if rows is None else int(rows.sum())
        wanted = min(k + (without is not None), available)
        if wanted == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, positions = self.index.search(queries, wanted, rows)
        short = positions[:, -1] < 0
        if short.any():
            scores[short], positions[short] = self.index.search(queries[short], wanted, exact=True)
        np.minimum(scores, 1.0, out=scores)
        np.maximum(scores, -1.0, out=scores)
        return (scores, positions) if without is None else _leave_out(scores, positions, without, k)

    def nearest_to(self, position: int, k: int) -> tuple[list[np.float32], list[int]]:
        """As `nearest`, for one item, which is left out: scores and positions of at most `k` others."""
        scores, positions = self.index.neighbours_of(position, min(k + 1, self.index.rows))
        rows = positions.tolist()
        if rows[-1] < 0:
            own = np.array([position])
            found, others = self.nearest(self.index.vectors(own), k, without=own)
            return list(found[0]), list(others[0].tolist())
        # Where more than `k` others have the item's own vector, it may not be there.
        own_place = 0 if rows[0] == position else rows.index(position) if position in rows else k
        kept = list(scores)
        del rows[own_place : own_place + 1], kept[own_place : own_place + 1]
        if kept and (kept[0] > 1 or kept[-1] < -1):
            kept = list(np.clip(kept, -1.0, 1.0))
        return kept, rows

    def _neighbours(self, scores: np.ndarray, positions: np.ndarray) -> Neighbours:
        there = positions >= 0
        scores, positions = scores[there], positions[there]
        return Neighbours(
            items=self.items.take(positions),
            scores=scores,
            positions=positions,
            id_column=self.items.schema.item_id,
        )


def _leave_out(
    scores: np.ndarray, positions: np.ndarray, without: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first `k` of each row of (q, m) without the position `without` (q,), -1 where fewer are left."""
    own = positions == without[:, None]
    if own[:, 0].all():
        return scores[:, 1:], positions[:, 1:]
    order = np.argsort(own, axis=1, kind="stable")[:, :k]
    scores, positions, own = (np.take_along_axis(part, order, axis=1) for part in (scores, positions, own))
    scores[own], positions[own] = -np.inf, -1
    return scores, positions
