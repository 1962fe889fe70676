"""`Columns`: the feature columns of a real or synthetic table as arrays that every metric reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.catalog.numbers import read_numbers
from streamrec.catalog.vocabulary import (
    CategoryCodec,
    LabelCodec,
    most_frequent,
    read_categories,
    read_labels,
)
from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema

LARGEST_CATEGORIES = 1_000
"""Values of a categorical column told apart, the most frequent; the rest of them count as one."""
LARGEST_LABELS = 500
"""Labels of a multi-label column that count, the most frequent."""

Kind = Literal["number", "category", "label"]


@dataclass(frozen=True)
class Feature:
    """One random variable of a row: a number, a category, or one label of a multi-label column."""

    column: str
    """The table's column."""
    kind: Kind
    label: str | None = None
    """Which label of a multi-label column."""

    @property
    def name(self) -> str:
        """The column, with its label as in `genres=Comedy`."""
        return self.column if self.label is None else f"{self.column}={self.label}"


@dataclass(frozen=True)
class Columns:
    """`n` rows of a schema's N numeric and C categorical columns, and of L labels in all.

    Vocabularies are those of the training rows, in the order of their values. Two tables are comparable
    when both have them: read the training rows first, every other table with `train=` these.
    """

    schema: FeatureSchema
    category_codecs: tuple[CategoryCodec, ...]
    """Vocabulary of each categorical column."""
    label_codecs: tuple[LabelCodec, ...]
    """Vocabulary of each multi-label column."""
    numbers: NDArray[np.float64]
    """(n, N) as in the table; NaN where missing."""
    categories: NDArray[np.int64]
    """(n, C): 0 missing, 1 not in the vocabulary, 2 and up its values, ascending."""
    labels: NDArray[np.float32]
    """(n, L): 1 where the row has the label; labels that are not in the vocabulary do not count."""

    @classmethod
    def of(cls, table: pa.Table, schema: FeatureSchema, train: Columns | None = None) -> Columns:
        """Read the feature columns of a table (n,), with the vocabularies of `train` or, without, its own.

        Raises:
            CatalogError: no rows, a feature column absent or there twice, values that its role cannot
                have, or an infinite number.
        """
        if table.num_rows == 0:
            raise CatalogError("table to judge: found no rows, expected at least one")
        cells = {name: _column(table, name) for name in schema.feature_columns}
        categories, labels = (
            _vocabularies(cells, schema) if train is None else (train.category_codecs, train.label_codecs)
        )
        rows = table.num_rows
        return cls(
            schema,
            categories,
            labels,
            np.column_stack([np.empty((rows, 0)), *(_finite(name, cells[name]) for name in schema.numeric)]),
            np.column_stack(
                [np.empty((rows, 0), np.int64), *(codec.encode(cells[codec.name]) for codec in categories)]
            ),
            np.column_stack(
                [np.empty((rows, 0), np.float32), *(codec.encode(cells[codec.name]) for codec in labels)]
            ),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: slice | NDArray[Any]) -> Columns:
        """The rows of a slice, an array of positions or a boolean mask."""
        return Columns(
            self.schema,
            self.category_codecs,
            self.label_codecs,
            self.numbers[index],
            self.categories[index],
            self.labels[index],
        )

    @property
    def features(self) -> tuple[Feature, ...]:
        """The F = N + C + L features: numbers, categories, labels. Every metric reports in this order."""
        return (
            *(Feature(name, "number") for name in self.schema.numeric),
            *(Feature(name, "category") for name in self.schema.categorical),
            *(
                Feature(codec.name, "label", label)
                for codec in self.label_codecs
                for label in codec.vocabulary.to_pylist()
            ),
        )

    def matrix(self, without: str | None = None) -> NDArray[np.float64]:
        """What a tree classifier reads (n, F): raw numbers with NaN, category codes, labels.

        `without` leaves out the features of one column of the table: the target.
        """
        kept = [feature.column != without for feature in self.features]
        return np.column_stack([self.numbers, self.categories, self.labels])[:, kept]

    @property
    def _vocabularies(self) -> tuple[pa.Array, ...]:
        return (
            *(codec.vocabulary for codec in self.category_codecs),
            *(codec.vocabulary for codec in self.label_codecs),
        )

    def require_comparable(self, other: Columns) -> None:
        """Raise CatalogError unless `other` has the same columns and vocabularies."""
        same = self.schema.feature_columns == other.schema.feature_columns and all(
            a.equals(b) for a, b in zip(self._vocabularies, other._vocabularies, strict=True)
        )
        if not same:
            raise CatalogError(
                "tables to compare: found two vocabularies, expected one; read the second table with "
                "Columns.of(table, schema, train=first)"
            )


def _vocabularies(
    cells: dict[str, pa.ChunkedArray], schema: FeatureSchema
) -> tuple[tuple[CategoryCodec, ...], tuple[LabelCodec, ...]]:
    categories = []
    for name in schema.categorical:
        values = read_categories(name, cells[name])
        categories.append(CategoryCodec(name, _vocabulary(values, LARGEST_CATEGORIES), values.null_count > 0))
    labels = []
    for column in schema.multi_label:
        lists = read_labels(column.name, cells[column.name], column.delimiter)
        items = pa.chunked_array([chunk.flatten() for chunk in lists.chunks], pa.string())
        labels.append(LabelCodec(column.name, column.delimiter, _vocabulary(items, LARGEST_LABELS)))
    return tuple(categories), tuple(labels)


def _vocabulary(values: pa.ChunkedArray, size: int) -> pa.Array:
    """The `size` most frequent values, ascending."""
    kept = most_frequent(values, size)
    return kept.take(pc.array_sort_indices(kept))


def _finite(name: str, cells: pa.ChunkedArray) -> NDArray[np.float64]:
    values = read_numbers(name, cells)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise CatalogError(
            f"table to judge: column '{name}', row {row}: found {values[row]}, expected a finite number or "
            "a missing cell; clip it or drop the row"
        )
    return values


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    found = table.schema.get_all_field_indices(name)
    if len(found) != 1:
        problem = "no column" if not found else f"{len(found)} columns named"
        raise CatalogError(
            f"table to judge: {problem} '{name}', expected one; found {', '.join(table.schema.names)}"
        )
    return table.column(found[0])
