"""`Catalog`: the item table every later stage reads, a Parquet file that satisfies a schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema

BATCH_ROWS = 65_536
"""Rows read at once: a batch of 50 columns is about 25 MB."""


@dataclass(frozen=True)
class Catalog:
    """A Parquet file with exactly the schema's columns, ids unique and present.

    Column types are canonical: the id is `string` or `int64`; a category `string`, `int64` or `bool`;
    a multi-label `list<string>`; a number `int64`, `float64` or `bool`; the timestamp `timestamp[us]`;
    a display column `string`. `ingest` and `generate` write such files.
    """

    path: Path
    schema: FeatureSchema

    def __post_init__(self) -> None:
        try:
            found = pq.read_schema(self.path).names
        except (OSError, pa.ArrowInvalid) as error:
            raise CatalogError(f"{self.path}: not a readable Parquet file: {error}") from error
        missing = [name for name in self.schema.columns if name not in found]
        if missing:
            raise CatalogError(f"{self.path}: no column '{missing[0]}'; found {', '.join(found)}")

    @property
    def num_rows(self) -> int:
        """Number of items."""
        return int(pq.read_metadata(self.path).num_rows)

    def batches(
        self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """The rows in file order, `batch_rows` at a time, in bounded memory."""
        names = list(columns or self.schema.columns)
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=batch_rows, columns=names)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole table in memory."""
        return pq.read_table(self.path, columns=list(columns or self.schema.columns))

    def sample(self, rows: int, seed: int, columns: Sequence[str] | None = None) -> pa.Table:
        """A uniform sample without replacement of at most `rows` items, in file order.

        The whole table when it has no more rows than that.
        """
        total = self.num_rows
        if total <= rows:
            return self.table(columns)
        return self.rows(sample_positions(total, rows, seed), columns)

    def rows(self, positions: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """The items at rising row positions (k,), at least one, in bounded memory."""
        parts, start = [], 0
        for batch in self.batches(columns):
            low, high = np.searchsorted(positions, [start, start + batch.num_rows])
            if high > low:
                parts.append(batch.take(pa.array(positions[low:high] - start)))
            start += batch.num_rows
        return pa.Table.from_batches(parts)


def sample_positions(total: int, rows: int, seed: int) -> NDArray[np.int64]:
    """Positions of the rows that `Catalog.sample` draws from a table of `total`, rising."""
    if total <= rows:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, size=rows, replace=False))
