"""Cells as stored -> cells as the catalogue holds them: one rule per role, one reason per bad cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.catalog.families import family, is_list
from streamrec.catalog.parse import (
    are_integers,
    mask,
    parse_booleans,
    parse_integers,
    parse_numbers,
    parse_timestamps,
    read_epochs,
    read_instants,
)
from streamrec.errors import CatalogError

Role = Literal["item_id", "categorical", "multi_label", "numeric", "timestamp", "display"]

EXACT_FLOAT = 2**53
"""Whole floats beyond this no longer name one integer."""
LABELS = pa.list_(pa.string())
TIMESTAMP = pa.timestamp("us")


@dataclass(frozen=True)
class Column:
    """What becomes of one column of the source."""

    name: str
    role: Role
    type: pa.DataType
    """Type in the catalogue."""
    delimiter: str | None = None
    """Separator of labels written as text."""


@dataclass(frozen=True)
class Cells:
    """A converted column of a batch."""

    values: pa.Array
    """(n,) of the column's type; null where missing or refused."""
    refused: tuple[tuple[str, np.ndarray], ...] = ()
    """Reasons, each with a mask (n,) of the cells refused for it."""


def catalog_type(
    name: str, role: Role, stored: pa.DataType, delimiter: str | None, where: str
) -> pa.DataType:
    """Type in the catalogue of a column stored as `stored`; a number stored as text counts as float64.

    Raises:
        CatalogError: a type that the role cannot hold, or labels as text without a delimiter; `where`
            names the table.
    """
    kind = family(stored)
    item = kind.removeprefix("list of ")
    plain_types = {"text": pa.string(), "null": pa.string(), "integer": pa.int64()}
    # Unsigned 64-bit values are hashes: as text all of them fit, and the type depends on no value.
    keys = {**plain_types, "unsigned 64-bit integer": pa.string(), "float": pa.int64()}
    numbers = {"boolean": pa.bool_(), "integer": pa.int64(), "unsigned 64-bit integer": pa.int64()}
    floats = dict.fromkeys(("float", "decimal", "text", "null"), pa.float64())
    allowed: dict[Role, dict[str, pa.DataType]] = {
        "item_id": keys,
        "categorical": {**keys, "boolean": pa.bool_()},
        "numeric": {**numbers, **floats},
        "timestamp": dict.fromkeys(("timestamp", "text", "integer", "float", "null"), TIMESTAMP),
        "multi_label": dict.fromkeys(("text", "integer", "boolean", "null"), LABELS),
        "display": dict.fromkeys(
            (
                "text",
                "integer",
                "unsigned 64-bit integer",
                "float",
                "decimal",
                "boolean",
                "timestamp",
                "null",
            ),
            pa.string(),
        ),
    }
    if kind != item and role not in ("multi_label", "display"):
        raise CatalogError(
            f"{where}: column '{name}' holds {stored}, a list; make it a multi_label or drop it"
        )
    if item not in allowed[role]:
        fits = ", ".join(allowed[role])
        raise CatalogError(
            f"{where}: column '{name}' holds {stored}; as {role} expected {fits}; convert or drop it"
        )
    if role == "multi_label" and kind == item != "null" and (item != "text" or delimiter is None):
        raise CatalogError(
            f"{where}: column '{name}' holds {stored}, not a list of labels; for labels in one text set "
            f'its delimiter: multi_label: [{{name: {name}, delimiter: "|"}}]'
        )
    return allowed[role][item]


def convert(column: Column, stored: pa.Array) -> Cells:
    """The cells (n,) of one column as the catalogue holds them, and which of them are refused and why.

    Raises:
        pa.ArrowException: text that is not UTF-8, or a value that Arrow cannot represent (`converting`).
    """
    rules: dict[Role, Callable[[Column, pa.Array], Cells]] = {
        "item_id": _key,
        "categorical": _key,
        "multi_label": _labels,
        "numeric": _number,
        "timestamp": _timestamp,
        "display": _display,
    }
    array = plain(stored)
    if pa.types.is_null(array.type):
        return Cells(pa.nulls(len(array), column.type))
    return rules[column.role](column, array)


@contextmanager
def converting(where: str) -> Iterator[None]:
    """Turn what Arrow cannot convert into a CatalogError that names the table and the column."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise CatalogError(f"{where}: cannot convert: {' '.join(str(error).split())}") from error


def plain(array: pa.Array) -> pa.Array:
    """The same cells without dictionary, run-length or extension encoding; text as checked `string`."""
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    if pa.types.is_dictionary(array.type):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(array.type):
        return plain(pc.run_end_decode(array))
    if family(array.type) == "text":
        array = array.cast(pa.string())
        array.validate(full=True)
    return array


def present(text: pa.Array) -> pa.Array:
    """Text with blank cells made null, the others untouched."""
    blank = pc.equal(pc.utf8_trim_whitespace(text), "")
    return pc.if_else(blank, pa.scalar(None, pa.string()), text)


def _key(column: Column, array: pa.Array) -> Cells:
    if pa.types.is_string(array.type):
        return Cells(present(array))
    if pa.types.is_floating(array.type):
        # Integers with gaps leave pandas as floats.
        values = array.cast(pa.float64()).fill_null(np.nan).to_numpy()
        missing = np.isnan(values)
        with np.errstate(invalid="ignore"):
            bad = ~missing & ~((np.abs(values) <= EXACT_FLOAT) & (values == np.floor(values)))
        whole = pa.array(np.where(missing | bad, 0, values).astype(np.int64), mask=missing | bad)
        return Cells(
            whole, ((f"not_a_{'key' if column.role == 'item_id' else 'category'}:{column.name}", bad),)
        )
    return Cells(array.cast(column.type))


def _number(column: Column, array: pa.Array) -> Cells:
    not_a_number = f"not_a_number:{column.name}"
    if pa.types.is_string(array.type):
        if pa.types.is_boolean(column.type):
            values, bad = parse_booleans(array)
            return Cells(values, ((not_a_number, bad),))
        values, bad = parse_numbers(array)
        if pa.types.is_integer(column.type):
            return Cells(parse_integers(array, mask(values.is_valid())), ((not_a_number, bad),))
        return _finite(column.name, values, ((not_a_number, bad),))
    if pa.types.is_uint64(array.type):
        large = mask(pc.greater(array, pa.scalar(2**63 - 1, pa.uint64())))
        kept = pc.if_else(pa.array(large), pa.scalar(None, pa.uint64()), array)
        return Cells(kept.cast(column.type), ((f"too_large:{column.name}", large),))
    if pa.types.is_floating(array.type):
        return _finite(column.name, array.cast(pa.float64()), ())
    return Cells(array.cast(column.type, safe=False))  # an int64 beyond 2**53 may round as float64


def _finite(name: str, values: pa.Array, refused: tuple[tuple[str, np.ndarray], ...]) -> Cells:
    finite = pc.is_finite(values)
    if pc.all(finite).as_py() is not False:
        return Cells(values, refused)
    infinite = mask(pc.is_inf(values))
    return Cells(
        pc.if_else(finite, values, pa.scalar(None, pa.float64())),
        (*refused, (f"not_finite:{name}", infinite)),
    )


def _timestamp(column: Column, array: pa.Array) -> Cells:
    if pa.types.is_string(array.type):
        values, bad = parse_timestamps(array)
    elif pa.types.is_floating(array.type) or pa.types.is_integer(array.type):
        if pa.types.is_floating(array.type):
            wide = array.cast(pa.float64())
            numbers = pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.float64()), wide)
        else:
            numbers = array.cast(pa.int64())
        values, bad = read_epochs(numbers)
    else:
        values, bad = read_instants(array)
    return Cells(values, ((f"not_a_timestamp:{column.name}", bad),))


def _display(column: Column, array: pa.Array) -> Cells:
    if is_list(array.type):
        rows, texts = _flat(array)
        held = texts.is_valid()
        lists = _lists(rows[mask(held)], texts.filter(held), array)
        return Cells(present(pc.binary_join(lists, ", ")))
    if not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    return Cells(present(array))


def _labels(column: Column, array: pa.Array) -> Cells:
    if pa.types.is_string(array.type):
        array = pc.split_pattern(present(array), column.delimiter)
    rows, texts = _flat(array)
    texts = pc.utf8_trim_whitespace(texts)
    filled = mask(pc.not_equal(texts, ""))
    rows, encoded = rows[filled], texts.filter(pa.array(filled)).dictionary_encode()
    width = max(len(encoded.dictionary), 1)
    _, first = np.unique(rows * width + encoded.indices.to_numpy(), return_index=True)
    order = np.sort(first)
    return Cells(_lists(rows[order], encoded.take(pa.array(order)).dictionary_decode(), array))


def _flat(array: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """The lists' items as text, and the row (int64) that each belongs to."""
    rows = pc.list_parent_indices(array).to_numpy(zero_copy_only=False).astype(np.int64)
    return rows, plain(pc.list_flatten(array)).cast(pa.string())


def _lists(rows: np.ndarray, texts: pa.Array, like: pa.Array) -> pa.Array:
    """Lists of `texts` by their `rows` (ascending), null where `like` is null."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(like)))])
    nulls = like.is_null()
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts, type=LABELS, mask=nulls)


def number_types(text: pa.Array) -> set[pa.DataType]:
    """Which of int64, float64 and bool the cells (n,) are; those that are none of them do not count."""
    values, bad = parse_numbers(text)
    numbers = mask(values.is_valid())
    integers = are_integers(text) & numbers
    found = {
        pa.int64(): integers.any(),
        pa.float64(): (numbers & ~integers).any(),
        pa.bool_(): bad.any() and parse_booleans(text)[0].null_count < len(text),
    }
    return {kind for kind, any_cell in found.items() if any_cell}
