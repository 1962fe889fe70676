"""`Quarantine`: the refused rows as they were found, with the reason, for a person to mend."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from streamrec.catalog.cells import plain
from streamrec.catalog.source import SourceBatch
from streamrec.catalog.write import TableWriter
from streamrec.errors import QuarantineError

OWN_COLUMNS = ("row", "reason", "line")


class Quarantine:
    """Parquet file of refused rows, in the table's order; no file when there are none.

    Columns: `row` (int64, position in the table from 1), `reason`, `line` (the whole row where its cells
    cannot be told apart), then the schema's columns as text. A schema column with one of these three
    names is called `source.NAME`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = list(columns)
        named = [f"source.{name}" if name in OWN_COLUMNS else name for name in columns]
        texts = [(name, pa.string()) for name in ("reason", "line", *named)]
        self._schema = pa.schema([("row", pa.int64()), *texts])
        self._writer: TableWriter | None = None

    def write(self, batch: SourceBatch, refused: dict[int, str]) -> None:
        """Append the batch's ragged rows and its `refused` ones, given by position and reason."""
        if not refused and not batch.ragged:
            return
        if self._writer is None:
            self._writer = TableWriter(self.path, self._schema)
        positions = np.array(sorted(refused), np.int64)
        count, empty = len(positions), len(batch.ragged)
        cells = batch.cells.take(pa.array(positions))
        numbers = [*batch.rows[positions].tolist(), *(row.number for row in batch.ragged)]
        reasons = [*(refused[position] for position in positions.tolist()), *["ragged_row"] * empty]
        lines = [*[None] * count, *(row.line for row in batch.ragged)]
        columns = [
            pa.array(numbers, pa.int64()),
            pa.array(reasons, pa.string()),
            pa.array(lines, pa.string()),
            *(
                pa.concat_arrays([_text(cells.column(n)), pa.nulls(empty, pa.string())])
                for n in self._columns
            ),
        ]
        order = pa.array(np.argsort(np.array(numbers), kind="stable"))
        self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._schema).take(order))

    def close(self) -> None:
        """Move the file to its place; remove one left by an earlier run when nothing was refused."""
        if self._writer is None:
            self.path.unlink(missing_ok=True)
        else:
            self._writer.close()

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            self._writer.abort()


def check_share(
    label: str, section: str, limit: float, read: int, reasons: Counter[str], quarantine: Path
) -> None:
    """Stop when more than the share `limit` of the rows `read` is refused, or all of them are.

    `label` names the table, `section` the settings that hold `max_quarantined_share`.

    Raises:
        QuarantineError: one line with the reasons.
    """
    refused = reasons.total()
    if refused < read and refused <= limit * read:
        return
    top = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(5))
    allowed = f"the limit is {limit:.1%} ({section}.max_quarantined_share)"
    raise QuarantineError(
        f"{label}: {refused:,} of {read:,} rows refused ({refused / read:.1%}), "
        f"{allowed if refused < read else 'no row is left'}: {top}; see {quarantine}"
    )


def _text(array: pa.Array) -> pa.Array:
    try:
        return plain(array).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        shown = [None if cell is None else json.dumps(cell, default=str) for cell in array.to_pylist()]
        return pa.array(shown, pa.string())
