"""`Searcher`: neighbours of an item or of any vector, among all items or those that match a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import to_arrow
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
        found = self.nearest(self.index.vectors(own), k, where, own if exclude_self else None)
        return self._neighbours(*found[0])

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
        return [self._neighbours(*found) for found in self.nearest(normalised(queries), k, where)]

    def nearest(
        self, queries: np.ndarray, k: int, where: Where | None = None, without: np.ndarray | None = None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Scores and positions of the `k` items closest to each query, best first: fewer where fewer match.

        Args:
            queries: (q, d) float32 rows of length 1 or 0, as the index holds them.
            k: items wanted per query, at least 1.
            where: as for `neighbours`.
            without: (q,) position of the item that each query leaves out.

        Raises:
            BundleError: unknown column or value; `k` below 1.
        """
        if k < 1:
            raise BundleError(f"k: found {k}, expected at least 1")
        rows = self.items.mask(where) if where else None
        available = self.index.rows if rows is None else int(rows.sum())
        wanted = min(k + (without is not None), available)
        if wanted == 0:
            return [(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
        scores, positions = self.index.search(queries, wanted, rows)
        short = np.flatnonzero(positions[:, -1] < 0)
        if len(short):
            scores[short], positions[short] = self.index.search(queries[short], wanted, exact=True)
        np.minimum(scores, 1.0, out=scores)
        np.maximum(scores, -1.0, out=scores)
        if without is None:
            return list(zip(scores, positions, strict=True))
        kept = positions != without[:, None]
        return [
            (row_scores[row][:k], row_positions[row][:k])
            for row_scores, row_positions, row in zip(scores, positions, kept, strict=True)
        ]

    def _neighbours(self, scores: np.ndarray, positions: np.ndarray) -> Neighbours:
        return Neighbours(
            items=self.items.table.take(to_arrow(positions)),
            scores=scores,
            positions=positions,
            id_column=self.items.schema.item_id,
        )
