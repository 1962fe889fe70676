"""`TableWriter`: a Parquet file that is either there, whole, or not there at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 65_536
"""A row group is written once that many rows wait, however small the batches they came in ..."""
GROUP_BYTES = 128 << 20
"""... or that many bytes."""


class TableWriter:
    """Writes beside `path` and moves the file there at the end of the `with` block, unless that failed."""

    def __init__(self, path: Path, schema: pa.Schema, plain: Sequence[str] = ()) -> None:
        """`plain` names text columns whose values hardly repeat: they get no dictionary."""
        self.path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        dictionary = [f.name for f in schema if pa.types.is_string(f.type) and f.name not in plain]
        dictionary += [f"{f.name}.list.element" for f in schema if pa.types.is_list(f.type)]
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", use_dictionary=dictionary)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch of the writer's schema."""
        self._waiting.append(batch)
        rows = sum(waiting.num_rows for waiting in self._waiting)
        if rows >= GROUP_ROWS or sum(waiting.nbytes for waiting in self._waiting) >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))
        self._waiting = []

    def close(self) -> None:
        """Write what waits and move the file to `path`; nothing after the first call."""
        if self._file.closed:
            return
        try:
            self._flush()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._part, self.path)
        finally:
            self.abort()

    def abort(self) -> None:
        """Leave no trace; nothing after `close`."""
        with contextlib.suppress(OSError):  # a full disk, say: the file goes all the same
            self._writer.close()
        self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if error is None else self.abort()
