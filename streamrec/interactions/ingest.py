"""`ingest_interactions`: the user's events -> a canonical file, and a quarantine of the refused rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.catalog.cells import Cells, Column, Role, catalog_type, convert, converting
from streamrec.catalog.families import family
from streamrec.catalog.parse import mask
from streamrec.catalog.quarantine import Quarantine, check_share
from streamrec.catalog.source import SourceBatch, TableSource, open_table
from streamrec.errors import InteractionsError
from streamrec.interactions.file import positions, write_interactions
from streamrec.interactions.settings import InteractionsConfig

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class IngestedInteractions:
    """What `ingest_interactions` read, kept and refused."""

    path: Path
    """The canonical file (see `interactions.file`)."""
    rows: int
    """Events kept."""
    quarantine: Path | None
    """Parquet file of the refused rows, None when none was."""
    rows_read: int
    rows_refused: int
    rows_below: int
    """Sound rows left out because they are rated below `min_rating`."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows refused by reason, the most frequent first; a row counts under its first reason."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of how the events were read, one sentence each."""


def ingest_interactions(
    config: InteractionsConfig, item_ids: pa.Array, folder: Path, progress: Progress | None = None
) -> IngestedInteractions:
    """Write `folder`/interactions.parquet and, when rows were refused, `folder`/quarantine.parquet.

    A row is refused, with the first reason of these, for: a number of cells other than the header's
    (`ragged_row`), a user or item that is not a whole number in a column of floats (`not_a_key:column`)
    or missing (`missing_user`, `missing_item`), an item that is not among `item_ids` (`unknown_item`),
    and, where these columns are named, a rating or time that is none (`not_a_number:`, `not_finite:`,
    `too_large:`, `not_a_timestamp:column`) or missing (`missing_rating`, `missing_time`). Sound rows
    rated below `config.min_rating` are counted and left out.

    Cells are read as the item table's are; an item stored as a number finds the id stored as its text,
    and the other way round. The file has the catalogue's type of item ids. The table is read once, in
    memory of `config.batch_rows` rows and some 30 bytes per event.

    Args:
        config: Where the events are and what their columns mean.
        item_ids: (I,) ids of the catalogue, `string` or `int64`.
        folder: Where the two files go; each appears whole or not at all.
        progress: Told the rows read; their number is not known beforehand.

    Raises:
        CatalogError: the table cannot be read, lacks a column or holds a type it cannot take.
        QuarantineError: more than `config.max_quarantined_share` of the rows is refused; the quarantine
            file is kept.
        InteractionsError: no event is left, or the files cannot be written.
    """
    source = open_table(config.path, config.format)
    columns, notes = _plan(source, config)
    quarantine = Quarantine(folder / "quarantine.parquet", config.columns)
    reasons: Counter[str] = Counter()
    kept: list[pa.RecordBatch] = []
    read = below = 0
    try:
        with quarantine:
            for batch in source.batches(config.columns, config.batch_rows):
                cells = {role: _convert(source, column, batch) for role, column in columns.items()}
                items = positions(cells["item"].values, item_ids)
                refused = _refusals(cells, items)
                reasons.update(refused.values())
                reasons.update(["ragged_row"] * len(batch.ragged))
                quarantine.write(batch, refused)
                keep = np.ones(len(batch.rows), bool)
                keep[list(refused)] = False
                if config.min_rating is not None:
                    low = keep & (_numbers(cells["rating"].values) < config.min_rating)
                    below += int(low.sum())
                    keep &= ~low
                kept.append(_events(cells, items, keep))
                read += len(batch.rows) + len(batch.ragged)
                if progress is not None:
                    progress(read, None)
        if not read:
            raise InteractionsError(f"{source.label}: the table has no rows; expected at least one event")
        limit = config.max_quarantined_share
        check_share(source.label, "interactions", limit, read, reasons, quarantine.path)
        events = pa.Table.from_batches(kept)
        if not len(events):
            raise InteractionsError(
                f"{source.label}: none of {read:,} rows is an event ({below:,} rated below "
                f"{config.min_rating:g}, {reasons.total():,} refused); lower interactions.min_rating"
            )
        path = folder / "interactions.parquet"
        write_interactions(path, events["user"], events["item"], events["weight"], events["time"], item_ids)
    except OSError as error:
        raise InteractionsError(f"{folder}: cannot write the events: {error}") from error
    return IngestedInteractions(
        path=path,
        rows=len(events),
        quarantine=quarantine.path if reasons else None,
        rows_read=read,
        rows_refused=reasons.total(),
        rows_below=below,
        reasons=dict(reasons.most_common()),
        notes=notes,
    )


def _plan(source: TableSource, config: InteractionsConfig) -> tuple[dict[str, Column], list[str]]:
    """The columns by what they mean, with their types."""
    stored = source.schema(config.columns)
    meant: dict[str, tuple[str | None, Role]] = {
        "user": (config.user, "item_id"),
        "item": (config.item, "item_id"),
        "rating": (config.rating, "numeric"),
        "time": (config.timestamp, "timestamp"),
    }
    columns, notes = {}, []
    for meaning, (name, role) in meant.items():
        if name is None:
            continue
        kind = stored.field(name).type
        columns[meaning] = Column(name, role, catalog_type(name, role, kind, None, source.label))
        if meaning == "time" and family(kind) in ("integer", "float"):
            notes.append(f"column '{name}': numbers read as Unix time, in UTC")
    left = [name for name in source.columns if name not in config.columns]
    if left:
        notes.append(f"columns left out: {', '.join(left)}")
    return columns, notes


def _convert(source: TableSource, column: Column, batch: SourceBatch) -> Cells:
    with converting(f"{source.label}: column '{column.name}'"):
        cells = convert(column, batch.cells.column(column.name))
        if column.role != "numeric":
            return Cells(cells.values.cast(column.type), cells.refused)
        large = np.abs(_numbers(cells.values)) > np.finfo(np.float32).max
        return Cells(cells.values, (*cells.refused, (f"too_large:{column.name}", large)))


def _numbers(cells: pa.Array) -> NDArray[np.float64]:
    """Cells (n,), NaN where missing."""
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    return cells.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()


def _refusals(cells: dict[str, Cells], items: NDArray[np.int64]) -> dict[int, str]:
    """Positions in the batch of the refused rows, each with its first reason."""
    refused: dict[int, str] = {}

    def refuse(bad: NDArray[np.bool_], reason: str) -> None:
        for row in np.flatnonzero(bad).tolist():
            refused.setdefault(row, reason)

    for meaning, column in cells.items():
        for reason, bad in column.refused:
            refuse(bad, reason)
        refuse(mask(column.values.is_null()), f"missing_{meaning}")
    refuse(items < 0, "unknown_item")
    return refused


def _events(cells: dict[str, Cells], items: NDArray[np.int64], keep: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows to keep: user (dictionary), item (position), weight, time (null where unknown)."""
    users = cells["user"].values.filter(pa.array(keep)).dictionary_encode()
    count = len(users)
    weights, times = np.ones(count, np.float32), pa.nulls(count, pa.timestamp("us"))
    if "rating" in cells:
        weights = _numbers(cells["rating"].values)[keep].astype(np.float32)
    if "time" in cells:
        times = pc.filter(cells["time"].values, pa.array(keep))
    return pa.RecordBatch.from_arrays(
        [users, pa.array(items[keep]), pa.array(weights), times], names=["user", "item", "weight", "time"]
    )
