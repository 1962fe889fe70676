"""`IdLookup`: rows by id and ids by row, in a few bytes per row.

A dictionary of a million ids takes more memory than their embeddings, and `pyarrow.compute.index` reads the
whole column for every question. Here an id's hash names a bucket of about one row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import pyarrow as pa

from streamrec.retrieval.arrow import to_numpy
from streamrec.retrieval.ids import Id, as_type

_FACTOR = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_WORD = 8
_BLOCK = 65_536
"""Ids whose hashes are computed at once."""


class _Column(Protocol):
    """Ids of all rows."""

    def typed(self, wanted: Id) -> Id | None:
        """An id as the column holds it; None where it cannot."""

    def hash(self, value: Id) -> int:
        """64 bits."""

    def hashes(self, start: int, stop: int) -> np.ndarray:
        """Hashes of rows, uint64."""

    def ids(self, rows: Iterable[int]) -> list[Id]:
        """The ids of rows."""

    def ids_at(self, rows: np.ndarray) -> list[Id]:
        """As `ids`, sooner for many rows (n,)."""


class _Integers:
    def __init__(self, column: pa.ChunkedArray) -> None:
        self._values = np.concatenate([to_numpy(chunk.cast(pa.int64())) for chunk in column.chunks])
        self._items = self._values.data

    def typed(self, wanted: Id) -> Id | None:
        return as_type(wanted, pa.int64())

    def hash(self, value: Id) -> int:
        return int(value) * _FACTOR & _MASK

    def hashes(self, start: int, stop: int) -> np.ndarray:
        return self._values[start:stop].astype(np.uint64) * np.uint64(_FACTOR)

    def ids(self, rows: Iterable[int]) -> list[Id]:
        return [self._items[row] for row in rows]

    def ids_at(self, rows: np.ndarray) -> list[Id]:
        return list(self._values[rows].tolist())


class _Texts:
    def __init__(self, column: pa.ChunkedArray) -> None:
        parts, ends, total = list[bytes](), [np.zeros(1, np.int64)], 0
        for chunk in column.cast(pa.string()).chunks:
            _, offsets, data = chunk.buffers()
            own: np.ndarray = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            parts.append(data.slice(int(own[0]), int(own[-1] - own[0])).to_pybytes() if data else b"")
            ends.append(own[1:].astype(np.int64) - own[0] + total)
            total += len(parts[-1])
        # Words are read across the ends of ids: some bytes beyond the last one must exist.
        self._data = b"".join([*parts, bytes(2 * _WORD)])
        small = total + 2 * _WORD < 2**31
        self._starts = np.concatenate(ends).astype(np.int32 if small else np.int64)
        self._at = self._starts.data

    def typed(self, wanted: Id) -> Id | None:
        return str(wanted)

    def hash(self, value: Id) -> int:
        data = str(value).encode("utf-8", "surrogatepass")
        found = len(data) * _FACTOR & _MASK
        for at in range(0, len(data), _WORD):
            word = found ^ int.from_bytes(data[at : at + _WORD], "little")
            found = (word ^ (word >> 32)) * _FACTOR & _MASK
        return found

    def hashes(self, start: int, stop: int) -> np.ndarray:
        words = np.ndarray((len(self._data) - _WORD + 1,), "<u8", self._data, strides=(1,))
        starts = self._starts[start:stop].astype(np.int64)
        lengths = np.diff(self._starts[start : stop + 1].astype(np.int64))
        found = lengths.astype(np.uint64) * np.uint64(_FACTOR)
        for at in range(0, int(lengths.max(initial=0)), _WORD):
            rows = np.flatnonzero(lengths > at)
            unused = np.maximum(_WORD - (lengths[rows] - at), 0).astype(np.uint64) * np.uint64(8)
            word = found[rows] ^ (words[starts[rows] + at] & (np.uint64(_MASK) >> unused))
            # High bits reach the low ones before the product, low bits the high ones by it.
            found[rows] = (word ^ (word >> np.uint64(32))) * np.uint64(_FACTOR)
        return found

    def ids(self, rows: Iterable[int]) -> list[Id]:
        data, at = self._data, self._at
        return [data[at[row] : at[row + 1]].decode() for row in rows]

    def ids_at(self, rows: np.ndarray) -> list[Id]:
        data, starts, stops = self._data, self._starts[rows].tolist(), self._starts[rows + 1].tolist()
        return [data[start:stop].decode() for start, stop in zip(starts, stops, strict=True)]


class IdLookup:
    """The ids of a table's rows, text or integers; safe to use from several threads at once."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        """Index a column without missing or repeated ids."""
        self._column: _Column = (_Integers if pa.types.is_integer(column.type) else _Texts)(column)
        self._length = len(column)
        self._shift = 64 - max(1, (len(column) - 1).bit_length())
        buckets = np.empty(len(column), np.uint32)
        for start in range(0, len(column), _BLOCK):
            stop = min(start + _BLOCK, len(column))
            buckets[start:stop] = self._column.hashes(start, stop) >> np.uint64(self._shift)
        counts = np.bincount(buckets, minlength=1 << (64 - self._shift))
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32).data
        self._rows = np.argsort(buckets).astype(np.int32).data

    def __len__(self) -> int:
        return self._length

    def position(self, wanted: Id) -> int:
        """Row of an id, -1 where no row has it; the text of a number finds an integer id."""
        column = self._column
        value = column.typed(wanted)
        if value is None:
            return -1
        bucket = column.hash(value) >> self._shift
        for at in range(self._starts[bucket], self._starts[bucket + 1]):
            row = self._rows[at]
            if column.ids((row,))[0] == value:
                return row
        return -1

    def positions(self, wanted: Iterable[Id]) -> np.ndarray:
        """Rows (n,) int64 of ids, -1 where there is none."""
        return np.fromiter(map(self.position, wanted), np.int64)

    def id(self, row: int) -> Id:
        """The id of a row."""
        return self._column.ids((row,))[0]

    def ids(self, rows: Iterable[int]) -> list[Id]:
        """The ids of many rows."""
        return self._column.ids(rows)

    def ids_at(self, rows: np.ndarray) -> list[Id]:
        """As `ids`, sooner for many rows (n,)."""
        return self._column.ids_at(rows)
