"""`Lists`: rows of whole numbers, of a length each: the items that each user has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamrec.retrieval.arrow import to_numpy


@dataclass(frozen=True)
class Lists:
    """Row i holds `values[starts[i]:starts[i + 1]]`."""

    starts: np.ndarray
    """(n + 1,) int64."""
    values: np.ndarray
    """(m,) whole numbers."""

    @classmethod
    def of(cls, rows: Sequence[np.ndarray]) -> Lists:
        """From one array per row."""
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(starts, np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64))

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray) -> Lists:
        """From a column of lists without missing ones."""
        array = column.combine_chunks()
        starts = to_numpy(array.offsets).astype(np.int64)
        return cls(starts - starts[0], to_numpy(array.flatten()))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(n,) entries of each row."""
        return np.diff(self.starts)

    def row(self, position: int) -> np.ndarray:
        """Entries of one row."""
        return self.values[self.starts[position] : self.starts[position + 1]]

    def take(self, positions: np.ndarray) -> Lists:
        """The rows at positions (k,), in their order."""
        lengths = self.lengths[positions]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        return Lists(starts, self.values[np.repeat(self.starts[positions], lengths) + within])

    def distinct(self) -> Lists:
        """Each row without what comes again later in it."""
        keys = self.parents() * (int(self.values.max(initial=0)) + 1) + self.values
        _, backwards = np.unique(keys[::-1], return_index=True)
        kept = np.sort(len(keys) - 1 - backwards)
        lengths = np.bincount(self.parents()[kept], minlength=len(self))
        return Lists(np.concatenate([[0], np.cumsum(lengths)]), self.values[kept])

    def renamed(self, names: np.ndarray) -> Lists:
        """Each entry v as `names[v]`, without those whose name is negative."""
        values = names[self.values]
        kept = values >= 0
        lengths = np.bincount(self.parents()[kept], minlength=len(self))
        return Lists(np.concatenate([[0], np.cumsum(lengths)]), values[kept])

    def parents(self) -> np.ndarray:
        """(m,) the row of each entry."""
        return np.repeat(np.arange(len(self)), self.lengths)
