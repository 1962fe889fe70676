"""`ItemTable`: the published items' ids and features, found by id and filtered by value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import decoded, to_arrow, to_numpy
from streamrec.retrieval.ids import Id, Ids, as_type, did_you_mean
from streamrec.schema import FeatureSchema

ItemId = Id
Where = Mapping[str, "str | int | bool | Sequence[str | int | bool]"]
"""Column -> the value, or the values any of which will do; every column named must match."""

_VALUES_SHOWN = 10
_SUGGESTION_POOL = 2_000
"""Values compared for "did you mean": a column may have as many as there are items."""


@dataclass(frozen=True)
class _Codes:
    """A filterable column as integers: one (row, code) pair per value that an item has."""

    vocabulary: dict[Any, int]
    """Code of each value."""
    rows: np.ndarray
    codes: np.ndarray


class ItemTable:
    """Features of the items of a bundle, in row order; `name` is named in errors.

    Categories of text may be codes of a dictionary in `table`; `take` and `column` give their values.
    """

    def __init__(self, table: pa.Table, schema: FeatureSchema, name: str) -> None:
        self.table = table
        self.schema = schema
        self.ids = Ids(table[schema.item_id], name)
        self._name = name
        self._codes: dict[str, _Codes] = {}

    def take(self, positions: np.ndarray) -> pa.Table:
        """The rows at positions (n,), as they were published."""
        return decoded(self.table.take(to_arrow(positions)))

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of all items, as it was published."""
        return decoded(self.table.select([name])).column(0)

    def position(self, item_id: ItemId) -> int:
        """Row of an item; the text of a number finds an integer id.

        Raises:
            BundleError: no such item; the message names close ids.
        """
        return self.ids.position(item_id)

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
                f"{self._name}: cannot filter by '{name}'{did_you_mean(close)}; "
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
                {value: code for code, value in enumerate(encoded.dictionary.to_pylist())},
                to_numpy(rows),
                to_numpy(encoded.indices),
            )
        return self._codes[name]

    def _code(self, name: str, codes: _Codes, value: str | int | bool) -> int:
        column = self.table[name].type
        typed = as_type(value, column.value_type if pa.types.is_list(column) else column)
        if typed is not None and typed in codes.vocabulary:
            return codes.vocabulary[typed]
        known = sorted(str(entry) for entry in islice(codes.vocabulary, _SUGGESTION_POOL))
        close = difflib.get_close_matches(str(value), known, n=3)
        shown = ", ".join(known[:_VALUES_SHOWN]) + (", ..." if len(known) > _VALUES_SHOWN else "")
        raise BundleError(
            f"{self._name}: no item has {value!r} in '{name}'{did_you_mean(close)}; values: {shown or 'none'}"
        )
