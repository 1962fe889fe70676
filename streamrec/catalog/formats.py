"""One file of an item table: Parquet, Arrow IPC or delimited text, read in batches of bounded size."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from streamrec.errors import CatalogError

Format = Literal["parquet", "csv", "tsv", "arrow"]

READ_BYTES = 1 << 20
"""Buffer per Parquet column: without one a column chunk (of a whole row group) is read at once."""
BLOCK_BYTES = 4 << 20
"""Text parsed at once; no row of a delimited file may be longer."""
LINE_CHARACTERS = 1_000
"""Characters kept of a row that has too many or too few cells."""

OnRagged = Callable[[pyarrow.csv.InvalidRow], str]

_TYPED_NAME = re.compile(r"(.+):(token|token_seq|float|float_seq)")


@dataclass(frozen=True)
class RaggedRow:
    """A row of a delimited file that has more or fewer cells than the header."""

    number: int
    """Position among the file's rows, from 1."""
    line: str
    """The row as found, at most `LINE_CHARACTERS` of it."""


class TableFile(Protocol):
    """One file; every method raises CatalogError naming the file when it cannot be read."""

    @property
    def label(self) -> str:
        """What errors call the file."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; `string` for all of a delimited file's."""

    def batches(
        self, columns: Sequence[str], batch_rows: int, ragged: list[RaggedRow]
    ) -> Iterator[pa.RecordBatch]:
        """The named columns, at most `batch_rows` rows at a time.

        Rows with a wrong number of cells are left out and appended to `ragged`, no later than the
        batch that holds the row after them is yielded.
        """


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file."""

    filesystem: FileSystem
    path: str
    label: str

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with readable(self.label, "Parquet"), self.filesystem.open_input_file(self.path) as handle:
            return _unambiguous(pq.read_schema(handle), self.label)

    def batches(
        self, columns: Sequence[str], batch_rows: int, ragged: list[RaggedRow]
    ) -> Iterator[pa.RecordBatch]:
        """The named columns in file order."""
        names = list(columns)
        with readable(self.label, "Parquet"), self.filesystem.open_input_file(self.path) as handle:
            file = pq.ParquetFile(handle, pre_buffer=False, buffer_size=READ_BYTES)
            for batch in file.iter_batches(batch_size=batch_rows, columns=names):
                yield batch.select(names)


@dataclass(frozen=True)
class ArrowTable:
    """An Arrow IPC file or stream (Feather version 2 is the former)."""

    filesystem: FileSystem
    path: str
    label: str

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with readable(self.label, "Arrow"), self.filesystem.open_input_file(self.path) as handle:
            reader, _ = _open_arrow(handle)
            return _unambiguous(reader.schema, self.label)

    def batches(
        self, columns: Sequence[str], batch_rows: int, ragged: list[RaggedRow]
    ) -> Iterator[pa.RecordBatch]:
        """The named columns in file order; a stored batch is read whole, then cut."""
        with readable(self.label, "Arrow"), self.filesystem.open_input_file(self.path) as handle:
            reader, stored = _open_arrow(handle)
            for batch in reader if stored is None else map(reader.get_batch, range(stored)):
                yield from _cut(batch.select(list(columns)), batch_rows)


@dataclass(frozen=True)
class TextTable:
    """A delimited text file in UTF-8, plain or compressed; every column is text.

    An `atomic` file (RecBole) has typed headers, `name:token_seq`, and no quoting.
    """

    filesystem: FileSystem
    path: str
    label: str
    delimiter: str = ","
    atomic: bool = False

    @cached_property
    def _header(self) -> list[str]:
        # Not by Arrow: its reader ahead may still hold our handler when the interpreter ends, which aborts.
        with readable(self.label, "text"), self.filesystem.open_input_stream(self.path) as stream:
            text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
            rows = (
                csv.reader(text, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
                if self.atomic
                else csv.reader(text, delimiter=self.delimiter)
            )
            try:
                found = next(filter(None, rows), None)
            except csv.Error as error:
                raise CatalogError(
                    f"{self.label}: not a readable header line: {error}; is a quote opened and never closed?"
                ) from error
            finally:
                text.detach()
        if found is None:
            raise CatalogError(f"{self.label}: the file is empty; expected a header line and rows")
        return found

    @cached_property
    def schema(self) -> pa.Schema:
        """One `string` column per header, in file order, without an atomic file's types."""
        names = [self._split(raw)[0] for raw in self._header]
        return _unambiguous(pa.schema([(name, pa.string()) for name in names]), self.label)

    @property
    def declared(self) -> dict[str, str]:
        """Type after the colon of each typed header: token, token_seq, float or float_seq."""
        return {name: kind for name, kind in map(self._split, self._header) if kind is not None}

    def batches(
        self, columns: Sequence[str], batch_rows: int, ragged: list[RaggedRow]
    ) -> Iterator[pa.RecordBatch]:
        """The named columns in file order, as written in the file."""
        raw = dict(zip(self.schema.names, self._header, strict=True))
        # A quote that is never closed swallows the rest of the file into the last column or a ragged row.
        final = self.schema.names[-1]
        wanted = list(dict.fromkeys([*columns, final]))
        read = open_row = 0
        open_cell = False

        def skip(row: pa.csv.InvalidRow) -> str:
            nonlocal read, open_row
            read += 1
            ragged.append(RaggedRow(row.number - 1, row.text[:LINE_CHARACTERS]))  # the header is row 1
            if "\n" in row.text and row.text.count('"') % 2:
                open_row = row.number - 1
            return "skip"

        with readable(self.label, "text"), self._open([raw[name] for name in wanted], skip) as reader:
            for batch in reader:
                batch = batch.rename_columns(wanted)
                if batch.num_rows:
                    open_cell = batch.column(final)[-1].as_py().endswith("\n")
                    read += batch.num_rows
                yield from _cut(batch.select(list(columns)), batch_rows)
        if not self.atomic and (open_cell or open_row == read > 0):
            raise CatalogError(f"{self.label}: a quote is opened and never closed; close or remove it")

    def _open(self, raw: list[str], on_ragged: OnRagged) -> pa.csv.CSVStreamingReader:
        return pa.csv.open_csv(
            self.filesystem.open_input_stream(self.path),
            # Row numbers are only told to the handler without threads; the reader is serial anyway.
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=False if self.atomic else '"',
                newlines_in_values=not self.atomic,
                invalid_row_handler=on_ragged,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in raw},
                include_columns=raw,
                strings_can_be_null=False,
            ),
        )

    def _split(self, raw: str) -> tuple[str, str | None]:
        typed = _TYPED_NAME.fullmatch(raw.strip()) if self.atomic else None
        return (typed[1], typed[2]) if typed else (raw.strip(), None)


@contextmanager
def readable(label: str, kind: str) -> Iterator[None]:
    """Turn what can go wrong in reading `label` into a CatalogError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise CatalogError(f"{label}: no such file or folder") from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"{label}: not UTF-8 text; save it as UTF-8") from error
    except (OSError, EOFError, pa.ArrowException) as error:
        text = " ".join(str(error).split())
        if "UTF8" in text:
            raise CatalogError(f"{label}: not UTF-8 text ({text}); save it as UTF-8") from error
        if "Empty CSV" in text:
            raise CatalogError(f"{label}: the file is empty; expected a header line and rows") from error
        if "straddling" in text:
            raise CatalogError(
                f"{label}: a row is longer than {BLOCK_BYTES >> 20} MiB; is a quote opened and never closed?"
            ) from error
        raise CatalogError(f"{label}: not a readable {kind} file: {text}") from error


def _open_arrow(
    handle: pa.NativeFile,
) -> tuple[pa.RecordBatchReader | pa.ipc.RecordBatchFileReader, int | None]:
    if handle.read(6) == b"ARROW1":
        handle.seek(0)
        reader = pa.ipc.open_file(handle)
        return reader, reader.num_record_batches
    handle.seek(0)
    return pa.ipc.open_stream(handle), None


def _cut(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, max(batch.num_rows, 1), rows):
        yield batch.slice(start, rows)


def _unambiguous(schema: pa.Schema, label: str) -> pa.Schema:
    repeated = [name for name in schema.names if schema.names.count(name) > 1]
    if repeated:
        raise CatalogError(f"{label}: two columns are named '{repeated[0]}'; rename one")
    return schema
