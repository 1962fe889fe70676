"""`ItemTable`: the published items' ids and features, found by id and filtered by value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import to_arrow, to_numpy, to_scalar
from streamrec.schema import FeatureSchema

ItemId = str | int
Where = Mapping[str, "str | int | bool | Sequence[str | int | bool]"]
"""Column -> the value, or the values any of which will do; every column named must match."""

_SUGGESTION_POOL = 2_000
"""Ids compared for "did you mean", those with the longest common start: a million would take a minute."""
_VALUES_SHOWN = 10


@dataclass(frozen=True)
class _Codes:
    """A filterable column as integers: one (row, code) pair per value that an item has."""

    vocabulary: list[Any]
    rows: np.ndarray
    codes: np.ndarray


class ItemTable:
    """Features of the items of a bundle, in row order; `name` is named in errors."""

    def __init__(self, table: pa.Table, schema: FeatureSchema, name: str) -> None:
        self.table = table
        self.schema = schema
        self._name = name
        self._codes: dict[str, _Codes] = {}

    def position(self, item_id: ItemId) -> int:
        """Row of an item; the text of a number finds an integer id.

        Raises:
            BundleError: no such item; the message names close ids.
        """
        column = self.table[self.schema.item_id]
        value = _as_type(item_id, column.type)
        position = -1 if value is None else pc.index(column, to_scalar(value)).as_py()
        if position < 0:
            close = self._close_ids(str(item_id))
            raise BundleError(f"{self._name}: no item {item_id!r}{_did_you_mean(close)}")
        return int(position)

    def mask(self, where: Where) -> np.ndarray:
        """(n,) bool: the rows that have, in every column named, one of the values asked for.

        Raises:
            BundleError: the column cannot be filtered by, or no item has the value.
        """
        kept = np.ones(self.table.num_rows, dtype=bool)
        for name, wanted in where.items():
            values = [wanted] if isinstance(wanted, str | int) else list(wanted)
            codes = self._column_codes(name)
            chosen = [self._code(name, codes, value) for value in values]
            matching = np.zeros(len(kept), dtype=bool)
            matching[codes.rows[np.isin(codes.codes, chosen)]] = True
            kept &= matching
        return kept

    def _column_codes(self, name: str) -> _Codes:
        filterable = [*self.schema.categorical, *self.schema.multi_label_names]
        if name not in filterable:
            close = difflib.get_close_matches(name, filterable, n=1)
            raise BundleError(
                f"{self._name}: cannot filter by '{name}'{_did_you_mean(close)}; "
                f"columns to filter by: {', '.join(filterable) or 'none'}"
            )
        if name not in self._codes:
            column = self.table[name].combine_chunks()
            rows = to_arrow(np.arange(len(column)))
            if pa.types.is_list(column.type):
                rows = pc.list_parent_indices(column)
                column = pc.list_flatten(column)
            rows = rows.filter(pc.is_valid(column))
            encoded = column.drop_null().dictionary_encode()
            self._codes[name] = _Codes(
                encoded.dictionary.to_pylist(), to_numpy(rows), to_numpy(encoded.indices)
            )
        return self._codes[name]

    def _code(self, name: str, codes: _Codes, value: str | int | bool) -> int:
        column = self.table[name].type
        typed = _as_type(value, column.value_type if pa.types.is_list(column) else column)
        if typed is not None and typed in codes.vocabulary:
            return codes.vocabulary.index(typed)
        known = sorted(str(entry) for entry in codes.vocabulary)
        close = difflib.get_close_matches(str(value), known, n=3)
        shown = ", ".join(known[:_VALUES_SHOWN]) + (", ..." if len(known) > _VALUES_SHOWN else "")
        raise BundleError(
            f"{self._name}: no item has {value!r} in '{name}'{_did_you_mean(close)}; "
            f"values: {shown or 'none'}"
        )

    def _close_ids(self, wanted: str) -> list[str]:
        ids, pool = self.table[self.schema.item_id].cast(pa.string()), dict[str, None]()
        for length in range(len(wanted), 0, -1):
            alike = ids.filter(pc.starts_with(ids, wanted[:length])).slice(0, _SUGGESTION_POOL - len(pool))
            pool.update(dict.fromkeys(alike.to_pylist()))
            if len(pool) == _SUGGESTION_POOL:
                break
        return difflib.get_close_matches(wanted, pool, n=3)


def _as_type(value: object, type_: pa.DataType) -> str | int | bool | None:
    """The value as the column stores it; None where the column cannot hold it."""
    text = str(value)
    if pa.types.is_boolean(type_):
        return {"true": True, "false": False}.get(text.lower())
    if pa.types.is_integer(type_):
        try:
            number = int(text)
        except ValueError:
            return None
        return number if abs(number) < 2**63 else None
    return text


def _did_you_mean(close: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
