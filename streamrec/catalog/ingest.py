"""`ingest`: the user's table -> a canonical catalogue, and a quarantine of the rows that break a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from streamrec.catalog.cells import (
    Cells,
    Column,
    Role,
    catalog_type,
    convert,
    converting,
    number_types,
    plain,
)
from streamrec.catalog.families import family
from streamrec.catalog.keys import FirstIds, RepeatedKeys, row_keys
from streamrec.catalog.parse import mask
from streamrec.catalog.quarantine import Quarantine, check_share
from streamrec.catalog.source import SourceBatch, TableSource, open_table
from streamrec.catalog.table import Catalog
from streamrec.catalog.write import TableWriter
from streamrec.config import IngestConfig
from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Ingested:
    """What `ingest` read, kept and refused."""

    catalog: Catalog
    quarantine: Path | None
    """Parquet file of the refused rows, None when every row was kept."""
    rows_read: int
    rows_refused: int
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows refused by reason, the most frequent first; a row counts under its first reason."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of how the table was read, one sentence each."""


def ingest(
    config: IngestConfig,
    schema: FeatureSchema,
    folder: Path,
    progress: Progress | None = None,
    section: str = "ingest",
) -> Ingested:
    """Write `folder`/catalog.parquet and, when rows were refused, `folder`/quarantine.parquet.

    A row is refused, with the first reason of these, for: a number of cells other than the header's
    (`ragged_row`), an id that is null, blank (`missing_id`) or not a whole number in a column of floats
    (`not_a_key:column`), a cell its column's role cannot hold (`not_a_category:`, `not_a_number:`,
    `not_finite:`, `too_large:`, `not_a_timestamp:column`), an id that an earlier kept row has
    (`duplicate_id`). NaN and, in numbers and dates, words like "NA" are missing cells, as is blank
    text anywhere; text is otherwise kept as written. In files of text, ids and categories stay text,
    and a column of numbers is `int64` (or `bool`) when all of its numbers are.

    The table is read twice, in memory bounded by `config.batch_rows`: once for the repeated ids and the
    types of numbers written as text, once to convert. Both files appear whole or not at all; the
    catalogue only when the run may go on. `progress` is told rows done and all rows; `section`
    is what errors call the settings.

    Raises:
        CatalogError: the table cannot be read, has no rows, lacks a column of the schema or holds a
            type its role cannot take.
        QuarantineError: more than `config.max_quarantined_share` of the rows is refused; the quarantine
            file is kept.
    """
    source = open_table(config.path, config.format)
    columns, notes = _plan(source, schema)
    columns, total, repeated = _survey(source, columns, config.batch_rows)
    if not total:
        raise CatalogError(f"{source.label}: the table has no rows; expected at least one item")
    path = folder / "catalog.parquet"
    quarantine = Quarantine(folder / "quarantine.parquet", schema.columns)
    reasons: Counter[str] = Counter()
    first = FirstIds(repeated)
    target = pa.schema([(column.name, column.type) for column in columns])
    read = 0
    try:
        with quarantine, TableWriter(path, target, plain=(schema.item_id, *schema.display)) as writer:
            for batch in source.batches(schema.columns, config.batch_rows):
                cells = [_convert(source, column, batch) for column in columns]
                refused = _refusals(cells, first)
                reasons.update(refused.values())
                reasons.update(["ragged_row"] * len(batch.ragged))
                quarantine.write(batch, refused)
                keep = np.ones(len(batch.rows), bool)
                keep[list(refused)] = False
                rows = pa.RecordBatch.from_arrays([cell.values for cell in cells], schema=target)
                writer.write(rows if not refused else rows.filter(pa.array(keep)))
                read += len(batch.rows) + len(batch.ragged)
                if progress is not None:
                    progress(read, total)
            quarantine.close()
            if read != total:
                raise CatalogError(
                    f"{source.label}: {total:,} rows, then {read:,}: the table changed while it was read"
                )
            limit = config.max_quarantined_share
            check_share(source.label, section, limit, read, reasons, quarantine.path)
    except OSError as error:
        raise CatalogError(f"{folder}: cannot write the catalogue: {error}") from error
    return Ingested(
        catalog=Catalog(path, schema),
        quarantine=quarantine.path if reasons else None,
        rows_read=read,
        rows_refused=reasons.total(),
        reasons=dict(reasons.most_common()),
        notes=notes,
    )


def _plan(source: TableSource, schema: FeatureSchema) -> tuple[list[Column], list[str]]:
    """The columns in the schema's order with their types, before any row is read."""
    stored = source.schema(schema.columns)
    delimiters = {label.name: label.delimiter for label in schema.multi_label}
    columns, notes = [], []
    for name, role in _roles(schema).items():
        kind = stored.field(name).type
        declared = source.declared.get(name)
        if declared == "float_seq" and role != "display":
            raise CatalogError(
                f"{source.label}: column '{name}' is a float_seq; a vector is no feature, drop it"
            )
        delimiter = delimiters.get(name) or (" " if declared == "token_seq" else None)
        columns.append(Column(name, role, catalog_type(name, role, kind, delimiter, source.label), delimiter))
        if role == "timestamp" and family(kind) in ("integer", "float"):
            notes.append(f"column '{name}': numbers read as Unix time, in UTC")
        if role in ("item_id", "categorical") and family(kind) == "unsigned 64-bit integer":
            notes.append(f"column '{name}': unsigned 64-bit integers kept as text")
    left = [name for name in source.columns if name not in schema.columns]
    if left:
        notes.append(f"columns outside the schema, left out: {', '.join(left)}")
    return columns, notes


def _roles(schema: FeatureSchema) -> dict[str, Role]:
    roles: dict[str, Role] = dict.fromkeys(schema.columns, "display")
    roles |= {schema.item_id: "item_id"}
    roles |= dict.fromkeys(schema.categorical, "categorical")
    roles |= dict.fromkeys(schema.multi_label_names, "multi_label")
    roles |= dict.fromkeys(schema.numeric, "numeric")
    return roles | ({schema.timestamp: "timestamp"} if schema.timestamp else {})


def _survey(
    source: TableSource, columns: list[Column], batch_rows: int
) -> tuple[list[Column], int, np.ndarray]:
    """First pass: final types of numbers written as text, number of rows, keys of repeated ids."""
    types = source.schema([column.name for column in columns])
    texts = [c for c in columns if c.role == "numeric" and family(types.field(c.name).type) == "text"]
    found: dict[str, set[pa.DataType]] = {column.name: set() for column in texts}
    item_id = columns[0]
    keys = RepeatedKeys()
    rows = 0
    for batch in source.batches([item_id.name, *found], batch_rows):
        ids = _convert(source, item_id, batch).values
        keys.add(row_keys(ids.drop_null()))
        for name, kinds in found.items():
            cells = batch.cells.column(name)
            if pa.float64() not in kinds and family(cells.type) == "text":
                with converting(f"{source.label}: column '{name}'"):
                    kinds |= number_types(plain(cells))
        rows += len(batch.rows) + len(batch.ragged)
    narrow = {
        name: next((k for k in (pa.float64(), pa.int64(), pa.bool_()) if k in kinds), pa.float64())
        for name, kinds in found.items()
    }
    repeated, _ = keys.find()
    return [replace(c, type=narrow.get(c.name, c.type)) for c in columns], rows, repeated


def _convert(source: TableSource, column: Column, batch: SourceBatch) -> Cells:
    with converting(f"{source.label}: column '{column.name}'"):
        return convert(column, batch.cells.column(column.name))


def _refusals(cells: list[Cells], first: FirstIds) -> dict[int, str]:
    """Positions in the batch of the refused rows, each with its first reason; the id is the first column."""
    refused: dict[int, str] = {}

    def refuse(rows: np.ndarray, reason: str) -> None:
        for row in rows.tolist():
            refused.setdefault(row, reason)

    ids = cells[0].values
    for reason, bad in cells[0].refused:
        refuse(np.flatnonzero(bad), reason)
    refuse(np.flatnonzero(mask(ids.is_null())), "missing_id")
    for column in cells[1:]:
        for reason, bad in column.refused:
            refuse(np.flatnonzero(bad), reason)
    sound = np.setdiff1d(np.arange(len(ids)), list(refused), assume_unique=True)
    refuse(first.again(ids, sound), "duplicate_id")
    return refused
