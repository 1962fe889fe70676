"""What a table's columns hold: counts, ranges and labels, from one pass in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.catalog.cells import LABELS, Column, convert, converting, plain, present
from streamrec.catalog.families import family
from streamrec.catalog.keys import RepeatedKeys, row_keys
from streamrec.catalog.names import key_rank, time_rank
from streamrec.catalog.parse import (
    are_integers,
    mask,
    parse_numbers,
    parse_timestamps,
    read_epochs,
    read_instants,
)
from streamrec.catalog.source import TableSource
from streamrec.errors import CatalogError

DISTINCT_LIMIT = 10_000
"""Distinct values counted per column."""
SAMPLE_ROWS = 100_000
"""Rows at the head of the table in which delimiters are looked for."""
SAMPLE_BYTES = 64 << 20
"""Text kept of these rows, per column."""
DELIMITERS = ("|", ";", ",", " ")
LONG_TEXT = 200
"""Mean number of characters above which text is for reading only."""
FOLLOWED = 8
"""Columns of which repeated values are counted exactly, the likeliest keys first: 8 bytes per cell."""
MAX_REPEATS = 0.05
"""Share of repeated values in a batch above which a column is no key and is not followed further."""
LIKELY = 0.5
"""Text is tried as numbers, or dates, as long as this share of its cells has been."""
NUMBERS = ("integer", "unsigned 64-bit integer", "float", "decimal")
LABELLED = ("text", "list of text", "list of integer", "list of boolean")


@dataclass(frozen=True)
class LabelFacts:
    """What a multi-label reading of a column would give."""

    distinct: int
    """Different labels."""
    total: int
    """Labels over all cells looked at."""
    several: float
    """Share of the cells with two or more labels."""
    varying: float
    """Share of the cells whose number of labels is not the most frequent one."""
    cells: int
    """Cells looked at: the different ones of text, all of a list column."""


@dataclass
class ColumnFacts:
    """What was observed of one column; counts are rows."""

    name: str
    family: str
    """Type as stored, whatever its width and encoding."""
    declared: str | None = None
    """Type in a typed header."""
    rows: int = 0
    missing: int = 0
    values: Counter[object] | None = field(default_factory=Counter)
    """Rows by value, None beyond `DISTINCT_LIMIT` values."""
    numbers: int = 0
    """Finite numbers, also written as text."""
    whole: bool = True
    """Whether all numbers are integers."""
    padded: bool = False
    """Whether some integers are written with leading zeros: codes, not numbers."""
    minimum: float = np.inf
    maximum: float = -np.inf
    dates: int = 0
    """Dates, also written as text or, under a name that says so, as Unix time."""
    earliest: str = ""
    latest: str = ""
    characters: int = 0
    """Length of all text cells together."""
    repeats: int | None = None
    """Rows whose value an earlier row has, None where not followed."""
    labels: dict[str | None, LabelFacts] = field(default_factory=dict)
    """By delimiter, None for lists; only delimiters that occur."""

    @property
    def present(self) -> int:
        """Cells that are not missing."""
        return self.rows - self.missing

    @property
    def distinct(self) -> int | None:
        """Different values, None beyond `DISTINCT_LIMIT` unless followed."""
        if self.repeats is not None:
            return self.present - self.repeats
        return None if self.values is None else len(self.values)


def observe(
    source: TableSource, batch_rows: int = 65_536, progress: Callable[[int, int | None], None] | None = None
) -> list[ColumnFacts]:
    """Facts of every column, in the table's order.

    Raises:
        CatalogError: the table cannot be read, has no rows, or its files hold different types.
    """
    schema = source.schema(source.columns)
    keyed = [f.name for f in schema if family(f.type) in ("text", "integer", "unsigned 64-bit integer")]
    followed = sorted(keyed, key=key_rank)[:FOLLOWED]
    observers = [
        _Observer(ColumnFacts(f.name, family(f.type), source.declared.get(f.name)), f.name in followed)
        for f in schema
    ]
    rows = 0
    for batch in source.batches(source.columns, batch_rows):
        for observer, cells in zip(observers, batch.cells.columns, strict=True):
            with converting(f"{source.label}: column '{observer.facts.name}'"):
                observer.add(cells)
        rows += len(batch.rows)
        if progress is not None:
            progress(rows, None)
    if not rows:
        raise CatalogError(f"{source.label}: the table has no rows; expected at least one item")
    return [observer.finish() for observer in observers]


class _Observer:
    def __init__(self, facts: ColumnFacts, follow: bool) -> None:
        self.facts = facts
        self._keys: RepeatedKeys | None = RepeatedKeys() if follow else None
        self._sample: list[pa.Array] = []

    def add(self, stored: pa.Array) -> None:
        facts, cells = self.facts, plain(stored)
        if pa.types.is_string(cells.type):
            cells = present(cells)
        elif pa.types.is_floating(cells.type):
            cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        facts.rows += len(cells)
        facts.missing += cells.null_count
        cells = cells.drop_null()
        if not len(cells):
            return
        if facts.family in (*NUMBERS, "text", "boolean", "timestamp"):
            self._add_values(cells)
        kept, size = sum(map(len, self._sample)), sum(part.nbytes for part in self._sample)
        if facts.family in LABELLED and kept < SAMPLE_ROWS and size + cells.nbytes < SAMPLE_BYTES:
            self._sample.append(cells)

    def _add_values(self, cells: pa.Array) -> None:
        facts, text = self.facts, pa.types.is_string(cells.type)
        if facts.values is None and self._keys is None:
            values, counts = cells, np.ones(len(cells), np.int64)  # nothing left to count
        else:
            counted = pc.value_counts(cells)
            values, counts = counted.field("values"), counted.field("counts").to_numpy()
            self._count(cells, values, counts)
        if facts.family == "timestamp":
            self._add_dates(read_instants(values)[0], counts)
        elif facts.family in NUMBERS:
            numbers = values.cast(pa.float64(), safe=False)
            facts.whole &= pc.all(pc.equal(pc.floor(numbers), numbers)).as_py()
            self._add_numbers(numbers, counts)
            if time_rank(facts.name) is not None:
                self._add_dates(read_epochs(numbers)[0], counts)
        elif text:
            self._add_text(values, counts)

    def _count(self, cells: pa.Array, values: pa.Array, counts: np.ndarray) -> None:
        facts = self.facts
        if facts.values is not None and len(values) <= DISTINCT_LIMIT:
            facts.values.update(dict(zip(values.to_pylist(), counts.tolist(), strict=True)))
        if facts.values is not None and max(len(values), len(facts.values)) > DISTINCT_LIMIT:
            facts.values = None
        if self._keys is not None and len(values) < (1 - MAX_REPEATS) * len(cells):
            self._keys = None
        if self._keys is not None:
            self._keys.add(
                row_keys(cells if pa.types.is_string(cells.type) else cells.cast(pa.int64(), safe=False))
            )

    def _add_text(self, texts: pa.Array, counts: np.ndarray) -> None:
        facts, rows = self.facts, counts.sum()
        seen = facts.present - rows  # cells of the batches before
        facts.characters += int((pc.utf8_length(texts).to_numpy() * counts).sum())
        if facts.numbers >= LIKELY * seen:
            numbers, _ = parse_numbers(texts)
            if facts.whole:
                facts.whole = bool(are_integers(texts)[mask(numbers.is_valid())].all())
                facts.padded |= bool(mask(pc.match_substring_regex(texts, r"^\s*-?0[0-9]")).any())
            self._add_numbers(numbers, counts)
            if not facts.whole and facts.numbers >= LIKELY * facts.present:
                self._keys = None  # fractions are no keys
        is_number = facts.numbers >= LIKELY * facts.present and time_rank(facts.name) is None
        if facts.dates >= LIKELY * seen and not is_number:
            self._add_dates(parse_timestamps(texts)[0], counts)

    def _add_numbers(self, numbers: pa.Array, counts: np.ndarray) -> None:
        facts, finite = self.facts, mask(pc.is_finite(numbers))
        if finite.any():
            kept = numbers.to_numpy(zero_copy_only=False)[finite]
            facts.numbers += int(counts[finite].sum())
            facts.minimum = min(facts.minimum, float(kept.min()))
            facts.maximum = max(facts.maximum, float(kept.max()))

    def _add_dates(self, instants: pa.Array, counts: np.ndarray) -> None:
        facts, valid = self.facts, mask(instants.is_valid())
        if valid.any():
            facts.dates += int(counts[valid].sum())
            ends = pc.min_max(instants)
            days = [ends[end].as_py().date().isoformat() for end in ("min", "max")]
            facts.earliest = min(facts.earliest or days[0], days[0])
            facts.latest = max(facts.latest, days[1])

    def finish(self) -> ColumnFacts:
        facts = self.facts
        if self._keys is not None and facts.present:
            facts.repeats = self._keys.find()[1]
        if not self._sample:
            return facts
        cells = pa.concat_arrays(self._sample)
        if facts.family != "text":
            facts.labels[None] = _label_facts(cells, np.ones(len(cells)), None)
        elif facts.characters <= LONG_TEXT * facts.present:
            counted = pc.value_counts(cells)
            texts, counts = counted.field("values"), counted.field("counts").to_numpy()
            for delimiter in DELIMITERS:
                if mask(pc.match_substring(texts, delimiter)).any():
                    facts.labels[delimiter] = _label_facts(texts, counts, delimiter)
        return facts


def _label_facts(cells: pa.Array, counts: np.ndarray, delimiter: str | None) -> LabelFacts:
    lists = convert(Column("", "multi_label", LABELS, delimiter), cells).values
    lengths = pc.list_value_length(lists).to_numpy()
    rows = counts.sum()
    return LabelFacts(
        distinct=pc.count_distinct(pc.list_flatten(lists)).as_py(),
        total=int((lengths * counts).sum()),
        several=float(counts[lengths > 1].sum() / rows),
        varying=float(1 - np.bincount(lengths, weights=counts).max() / rows),
        cells=len(cells),
    )
