"""Vocabularies: one category per cell (`CategoryCodec`) or any number of labels (`LabelCodec`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.errors import CatalogError
from streamrec.layout import FIRST_CATEGORY_CODE, MISSING_CODE
from streamrec.schema import MultiLabelColumn


@dataclass(frozen=True)
class CategoryCodec:
    """Codes of one categorical column: 0 missing, 1 unseen, 2 and up the vocabulary.

    The vocabulary is ordered by count, the most frequent first, then by value. Values beyond its
    largest size are unseen. Null and NaN are missing.
    """

    name: str
    vocabulary: pa.Array
    """Distinct values: string, int64 or bool."""
    nullable: bool
    """Whether a training row has no value."""

    @classmethod
    def fit(cls, name: str, column: pa.ChunkedArray, size: int) -> CategoryCodec:
        """Vocabulary of at most `size` values."""
        cells = read_categories(name, column)
        return cls(name, most_frequent(cells, size), cells.null_count > 0)

    @property
    def codes(self) -> int:
        """Number of codes, missing and unseen included."""
        return FIRST_CATEGORY_CODE + len(self.vocabulary)

    def encode(self, column: pa.ChunkedArray) -> NDArray[np.int64]:
        """Codes (n,)."""
        cells = read_categories(self.name, column, self.vocabulary.type)
        found = pc.fill_null(pc.index_in(cells, value_set=self.vocabulary), -1)
        codes = found.to_numpy().astype(np.int64) + FIRST_CATEGORY_CODE
        if cells.null_count:
            codes[cells.is_null().to_numpy()] = MISSING_CODE
        return codes

    def decode(self, codes: NDArray[np.int64]) -> pa.Array:
        """Values (n,): null where missing and where unseen, whose value is not known."""
        index = codes - FIRST_CATEGORY_CODE
        return self.vocabulary.take(pa.array(index, mask=index < 0))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "dtype": str(self.vocabulary.type),
            "vocabulary": self.vocabulary.to_pylist(),
            "nullable": self.nullable,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CategoryCodec:
        """Inverse of `to_dict`."""
        vocabulary = pa.array(data["vocabulary"], pa.type_for_alias(data["dtype"]))
        return cls(data["name"], vocabulary, data["nullable"])


@dataclass(frozen=True)
class LabelCodec:
    """Indicators of one multi-label column: one per label, the most frequent first, then by value.

    Labels outside the vocabulary are dropped. A missing list and an empty list are the same, no label,
    and decode to an empty list.
    """

    name: str
    delimiter: str | None
    vocabulary: pa.Array
    """Distinct labels: string."""

    @classmethod
    def fit(cls, column: MultiLabelColumn, cells: pa.ChunkedArray, size: int) -> LabelCodec:
        """Vocabulary of at most `size` labels."""
        lists = read_labels(column.name, cells, column.delimiter)
        labels = pa.chunked_array([chunk.flatten() for chunk in lists.chunks], pa.string())
        return cls(column.name, column.delimiter, most_frequent(labels, size))

    def encode(self, column: pa.ChunkedArray) -> NDArray[np.float32]:
        """Indicators (n, labels) in {0, 1}."""
        indicators = np.zeros((len(column), len(self.vocabulary)), dtype=np.float32)
        start = 0
        for chunk in read_labels(self.name, column, self.delimiter).chunks:
            # A null list may hide labels, which only some of Arrow's functions skip.
            present = chunk.drop_null()
            row = chunk.is_valid().to_numpy(zero_copy_only=False).nonzero()[0]
            label = pc.index_in(present.flatten(), value_set=self.vocabulary)
            known = label.is_valid()
            parent = pc.list_parent_indices(present).filter(known).to_numpy()
            indicators[start + row[parent], label.filter(known).to_numpy()] = 1
            start += len(chunk)
        return indicators

    def decode(self, indicators: NDArray[np.float32]) -> pa.Array:
        """Lists (n,) of the labels whose indicator is above a half, in vocabulary order."""
        row, label = np.nonzero(indicators > 0.5)
        return _lists(row, self.vocabulary.take(pa.array(label)), len(indicators))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"name": self.name, "delimiter": self.delimiter, "vocabulary": self.vocabulary.to_pylist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelCodec:
        """Inverse of `to_dict`."""
        return cls(data["name"], data["delimiter"], pa.array(data["vocabulary"], pa.string()))


def most_frequent(column: pa.ChunkedArray, size: int) -> pa.Array:
    """The `size` most frequent values that are not null, by count, then by value."""
    tally = column.drop_null().value_counts()
    table = pa.table({"value": tally.field("values"), "count": tally.field("counts")})
    ordered = table.sort_by([("count", "descending"), ("value", "ascending")])
    return pa.concat_arrays([*ordered["value"][:size].chunks, pa.array([], column.type)])


def read_categories(name: str, column: pa.ChunkedArray, dtype: pa.DataType | None = None) -> pa.ChunkedArray:
    """The cells as string, int64 or bool: as `dtype`, or as the one of them nearest to what is found.

    Whole floats are integers (a table from pandas holds integers beside missing cells so), NaN is null,
    integers are text where text is expected, and 0 and 1 are booleans where these are.

    Raises:
        CatalogError: other values, naming the column and both types.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return read_categories(name, column.cast(kind.value_type), dtype)
    if pa.types.is_null(kind):
        return column.cast(dtype or pa.string())
    try:
        if pa.types.is_floating(kind):
            present = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
            return read_categories(name, present.cast(pa.int64()), dtype)
        if pa.types.is_integer(kind):
            return _integers_as(column.cast(pa.int64()), dtype or pa.int64())
        if pa.types.is_boolean(kind) and dtype in (None, pa.bool_(), pa.int64()):
            return column.cast(dtype or pa.bool_())
        if _is_text(kind) and dtype in (None, pa.string()):
            return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise CatalogError(f"item table: column '{name}': {' '.join(str(error).split())}") from error
    raise CatalogError(
        f"item table: column '{name}' holds {kind}, expected {dtype or 'text, integers or booleans'}; "
        "convert it or change its role"
    )


def read_labels(name: str, column: pa.ChunkedArray, delimiter: str | None) -> pa.ChunkedArray:
    """The cells as lists of strings; text is split at `delimiter`, spaces around a label are not part of it.

    Raises:
        CatalogError: the column holds neither, or text without a delimiter in the schema.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return read_labels(name, column.cast(kind.value_type), delimiter)
    if pa.types.is_null(kind):
        return column.cast(pa.list_(pa.string()))
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if listed and (pa.types.is_null(kind.value_type) or _is_label(kind.value_type)):
        return column.cast(pa.list_(pa.string()))
    if _is_label(kind) and delimiter is not None:
        return _split(column.cast(pa.string()), delimiter)
    raise CatalogError(
        f"item table: column '{name}' holds {kind}, expected lists of text"
        + ("; set its delimiter" if _is_label(kind) else "; convert it or change its role")
    )


def _integers_as(column: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_boolean(dtype) and not pc.all(pc.is_in(column, pa.array([0, 1, None]))).as_py():
        raise pa.ArrowInvalid("found integers other than 0 and 1, expected booleans")
    return column.cast(dtype)


def _is_label(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_label(kind.value_type)
    return _is_text(kind) or pa.types.is_integer(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _split(column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    lists = []
    for chunk in column.chunks:
        pieces = pc.split_pattern(chunk, delimiter)
        label = pc.utf8_trim_whitespace(pieces.flatten())
        present = pc.not_equal(label, "")
        row = pc.list_parent_indices(pieces).filter(present).to_numpy()
        lists.append(_lists(row, label.filter(present), len(chunk)))
    return pa.chunked_array(lists, pa.list_(pa.string()))


def _lists(row: NDArray[np.int64], values: pa.Array, rows: int) -> pa.ListArray:
    """Lists (rows,) of `values`, of which each belongs to `row`, ascending."""
    offsets = np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values)
