"""Which item ids occur more than once: exact, in 8 bytes per row and a few more for the repeated ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def row_keys(ids: pa.Array) -> np.ndarray:
    """One int64 per id (n,): equal ids have equal keys; unequal texts may, very rarely.

    `ids` is `string` or `int64` without nulls. Keys of text differ between processes.
    """
    if pa.types.is_integer(ids.type):
        return ids.to_numpy()
    return np.fromiter(map(hash, ids.to_pylist()), np.int64, count=len(ids))


class RepeatedKeys:
    """First pass: collects the keys of all rows and tells those that occur more than once."""

    def __init__(self) -> None:
        self._chunks: list[np.ndarray] = []

    def add(self, keys: np.ndarray) -> None:
        """Take the keys (n,) int64 of some rows."""
        self._chunks.append(keys)

    def find(self) -> tuple[np.ndarray, int]:
        """The repeated keys, ascending, and how many rows hold one that an earlier row held.

        Forgets the keys: sorting them in place keeps the peak at 16 bytes per row.
        """
        keys = np.concatenate(self._chunks) if self._chunks else np.empty(0, np.int64)
        self._chunks.clear()
        keys.sort()
        again = keys[1:][keys[1:] == keys[:-1]]
        return np.unique(again), len(again)


class FirstIds:
    """Second pass: tells whether an id was seen before, comparing only ids whose key is repeated."""

    def __init__(self, repeated: np.ndarray) -> None:
        self._repeated = repeated
        self._seen: set[str | int] = set()

    def again(self, ids: pa.Array, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` (k,) (positions in `ids`) whose id an earlier call or row already had."""
        if not len(self._repeated) or not len(rows):
            return rows[:0]
        candidates = ids.take(pa.array(rows))
        keys = row_keys(candidates)
        nearest = np.minimum(np.searchsorted(self._repeated, keys), len(self._repeated) - 1)
        suspects = np.flatnonzero(self._repeated[nearest] == keys)
        found = []
        for position, item in zip(suspects, candidates.take(pa.array(suspects)).to_pylist(), strict=True):
            if item in self._seen:
                found.append(rows[position])
            self._seen.add(item)
        return np.array(found, np.int64)
