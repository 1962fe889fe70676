"""`open_table`: an item table where it lies, a file, folder or URL, as a stream of record batches."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from streamrec.catalog.families import merge
from streamrec.catalog.formats import Format, RaggedRow, TextTable
from streamrec.catalog.locate import Part, locate
from streamrec.errors import CatalogError


@dataclass(frozen=True)
class SourceBatch:
    """Some rows of a table, as stored."""

    cells: pa.RecordBatch
    """The columns asked for, in that order."""
    rows: np.ndarray
    """(n,) int64: position of each row in the table, from 1, over all files."""
    ragged: tuple[RaggedRow, ...] = ()
    """Rows with too many or too few cells met since the batch before."""


@dataclass(frozen=True)
class TableSource:
    """An opened table: nothing is read before it is asked for."""

    label: str
    """What errors call it: its path, without credentials."""
    format: Format
    parts: tuple[Part, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the first file, partition columns last."""
        return tuple(self.parts[0].schema.names)

    @property
    def declared(self) -> dict[str, str]:
        """Types in the headers of RecBole files: token, token_seq, float, float_seq; else empty."""
        file = self.parts[0].file
        return file.declared if isinstance(file, TextTable) else {}

    def schema(self, columns: Sequence[str]) -> pa.Schema:
        """Types of the named columns over all files; integers and floats together give `float64`.

        Raises:
            CatalogError: a column is missing from a file, or two files hold different types in it.
        """
        first = self.parts[0]
        types: dict[str, pa.DataType] = {}
        owner: dict[str, str] = {}
        for part in self.parts:
            found = part.schema
            for name in columns:
                if name not in found.names:
                    raise CatalogError(_no_column(part.file.label, name, found.names))
                kind = found.field(name).type
                merged = merge(types.get(name, pa.null()), kind)
                if merged is None:
                    raise CatalogError(
                        f"{part.file.label}: column '{name}' holds {kind}, but {types[name]} in "
                        f"{owner.get(name, first.file.label)}; write the files of a folder with one type"
                    )
                if merged != types.get(name):
                    types[name], owner[name] = merged, part.file.label
        return pa.schema([(name, types[name]) for name in columns])

    def batches(self, columns: Sequence[str], batch_rows: int) -> Iterator[SourceBatch]:
        """The named columns of all files in order of their paths, at most `batch_rows` rows at a time.

        Memory is bounded by the batch, whatever the size of the files. A file's own types are kept.

        Raises:
            CatalogError: a file is missing, damaged, or not of its format; the message names it.
        """
        names = list(columns)
        before = 0  # rows of the files already read
        for part in self.parts:
            stored = [name for name in names if name in part.file.schema.names]
            ragged: list[RaggedRow] = []
            read = 0  # rows of this file already numbered
            # A file read only for its partition columns still has to say how many rows it has.
            for batch in part.file.batches(stored or part.file.schema.names[:1], batch_rows, ragged):
                rows = _row_numbers(read, batch.num_rows, ragged)
                cells = [
                    batch.column(name)
                    if name in stored
                    else pa.repeat(pa.scalar(part.partition[name], pa.string()), batch.num_rows)
                    for name in names
                ]
                told, read = _drain(ragged, int(rows[-1]) if len(rows) else read)
                yield SourceBatch(
                    pa.RecordBatch.from_arrays(cells, names=names), rows + before, _shift(told, before)
                )
            told, read = _drain(ragged, read)
            if told:
                empty = pa.RecordBatch.from_pylist([], pa.schema([(name, pa.string()) for name in names]))
                yield SourceBatch(empty, np.empty(0, np.int64), _shift(told, before))
            before += read


def open_table(path: str | Path, format: Literal["auto"] | Format = "auto") -> TableSource:
    """Open a table by path or URL.

    `path` is a file or a folder of files of one format (names that start with `.` or `_` are passed
    over; `key=value` folders become columns), local or any URL that pyarrow or fsspec knows. Text may
    be compressed. `auto` goes by the ending.

    Raises:
        CatalogError: nothing there, a URL nobody knows, no ending that tells the format, or a folder
            that mixes formats.
    """
    return TableSource(*locate(str(path), format))


def _no_column(label: str, name: str, found: Sequence[str]) -> str:
    lower = {other.lower(): other for other in found}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    hint = f"; did you mean '{lower[close[0]]}'?" if close else ""
    shown = ", ".join(found[:60]) + (f" and {len(found) - 60} more" if len(found) > 60 else "")
    return f"{label}: no column '{name}'; found {shown}{hint}"


def _row_numbers(read: int, count: int, ragged: Sequence[RaggedRow]) -> np.ndarray:
    """Positions of the `count` rows that follow row `read` when the `ragged` ones are left out."""
    skipped = np.array([row.number for row in ragged], np.int64)
    end = read + count
    while (wider := read + count + int((skipped <= end).sum())) != end:
        end = wider
    return np.setdiff1d(np.arange(read + 1, end + 1), skipped, assume_unique=True)


def _drain(ragged: list[RaggedRow], read: int) -> tuple[list[RaggedRow], int]:
    """Take the ragged rows up to row `read` and right after it; the reader may be ahead by some more."""
    count = 0
    for row in ragged:
        if row.number > read + 1:
            break
        read, count = max(read, row.number), count + 1
    taken = ragged[:count]
    del ragged[:count]
    return taken, read


def _shift(rows: Sequence[RaggedRow], before: int) -> tuple[RaggedRow, ...]:
    return tuple(RaggedRow(row.number + before, row.line) for row in rows)
