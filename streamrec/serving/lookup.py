"""`IdLookup`: rows by id and ids by row, in a few bytes per row beside the Arrow column.

A dictionary of a million ids takes more memory than their embeddings, and `pyarrow.compute.index` reads the
whole column for every question. Here an id's hash names a bucket of about one row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import pyarrow as pa

from streamrec.retrieval.arrow import to_numpy
from streamrec.retrieval.ids import Id, as_type

_FACTOR = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_WORD = 8


class _Chunk(Protocol):
    """A part of the column: ids of its rows, and their hashes."""

    id: Callable[[int], Id]
    """The id of a row."""

    def hashes(self) -> np.ndarray:
        """(rows,) uint64."""


class _Integers:
    def __init__(self, array: pa.Array) -> None:
        self._values = to_numpy(array.cast(pa.int64()))
        self.id: Callable[[int], Id] = self._values.data.__getitem__

    def hashes(self) -> np.ndarray:
        return self._values.astype(np.uint64) * np.uint64(_FACTOR)


class _Texts:
    def __init__(self, array: pa.Array) -> None:
        _, offsets, data = array.buffers()
        self._starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        self._data = memoryview(data if data is not None else b"")
        self.id = _text_reader(self._starts.data, self._data)

    def hashes(self) -> np.ndarray:
        starts, stop = self._starts.astype(np.int64), int(self._starts[-1])
        lengths = np.diff(starts)
        # Words are read across the ends of ids: eight bytes beyond the last one must exist.
        padded = np.zeros(stop + 2 * _WORD, np.uint8)
        padded[:stop] = np.frombuffer(self._data, np.uint8, stop)
        words = np.ndarray((stop + _WORD,), "<u8", padded, strides=(1,))
        found = lengths.astype(np.uint64) * np.uint64(_FACTOR)
        for at in range(0, int(lengths.max(initial=0)), _WORD):
            rows = np.flatnonzero(lengths > at)
            unused = np.maximum(_WORD - (lengths[rows] - at), 0).astype(np.uint64) * np.uint64(8)
            word = words[starts[rows] + at] & (np.uint64(_MASK) >> unused)
            found[rows] = _mixed(found[rows] ^ word)
        return found


def _text_reader(starts: memoryview, data: memoryview) -> Callable[[int], Id]:
    def read(row: int) -> Id:
        return str(data[starts[row] : starts[row + 1]], "utf-8")

    return read


class IdLookup:
    """The ids of a table's rows, text or integers; safe to use from several threads at once."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        """Index a column without missing or repeated ids."""
        self._type = column.type
        self._integer = pa.types.is_integer(column.type)
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._chunks: list[_Chunk] = [
            _Integers(chunk) if self._integer else _Texts(chunk.cast(pa.string())) for chunk in chunks
        ]
        self._ids = [chunk.id for chunk in self._chunks]
        self._firsts = np.cumsum([0, *map(len, chunks)]).tolist()
        self._shift = 64 - max(1, (len(column) - 1).bit_length())
        buckets = np.empty(len(column), np.uint32)
        for first, chunk in zip(self._firsts, self._chunks, strict=False):
            hashes = chunk.hashes()
            buckets[first : first + len(hashes)] = hashes >> np.uint64(self._shift)
        counts = np.bincount(buckets, minlength=1 << (64 - self._shift))
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32).data
        self._rows = np.argsort(buckets).astype(np.int32).data

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def position(self, wanted: Id) -> int:
        """Row of an id, -1 where no row has it; the text of a number finds an integer id."""
        value = as_type(wanted, self._type)
        if value is None:
            return -1
        bucket = (_hash_integer(int(value)) if self._integer else _hash_text(str(value))) >> self._shift
        for row in self._rows[self._starts[bucket] : self._starts[bucket + 1]]:
            if self.id(row) == value:
                return row
        return -1

    def positions(self, wanted: Iterable[Id]) -> np.ndarray:
        """Rows (n,) int64 of ids, -1 where there is none."""
        return np.fromiter(map(self.position, wanted), np.int64)

    def id(self, row: int) -> Id:
        """The id of a row."""
        chunk = bisect_right(self._firsts, row) - 1
        return self._chunks[chunk].id(row - self._firsts[chunk])

    def ids(self, rows: Iterable[int]) -> list[Id]:
        """The ids of many rows."""
        firsts, parts = self._firsts, self._ids
        found = []
        for row in rows:
            chunk = bisect_right(firsts, row) - 1
            found.append(parts[chunk](row - firsts[chunk]))
        return found


def _mixed(word: np.ndarray) -> np.ndarray:
    """One step of the hash: high bits reach the low ones before, low bits the high ones after."""
    return (word ^ (word >> np.uint64(32))) * np.uint64(_FACTOR)


def _hash_text(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    found = len(data) * _FACTOR & _MASK
    for at in range(0, len(data), _WORD):
        word = found ^ int.from_bytes(data[at : at + _WORD], "little")
        found = (word ^ (word >> 32)) * _FACTOR & _MASK
    return found


def _hash_integer(number: int) -> int:
    return number * _FACTOR & _MASK
