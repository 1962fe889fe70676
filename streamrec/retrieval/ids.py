"""`Ids`: rows of a table found by id."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import to_numpy, to_scalar

Id = str | int

_SUGGESTION_POOL = 2_000
"""Ids compared for "did you mean", those with the longest common start: a million would take a minute."""


class Ids:
    """The ids of a table's rows, text or integers; `name` and `kind` are named in errors."""

    def __init__(self, column: pa.ChunkedArray, name: str, kind: str = "item") -> None:
        self.column = column
        self._name = name
        self._kind = kind

    def __len__(self) -> int:
        return len(self.column)

    def position(self, wanted: Id) -> int:
        """Row of an id; the text of a number finds an integer id.

        Raises:
            BundleError: no such id; the message names close ones.
        """
        value = as_type(wanted, self.column.type)
        position = -1 if value is None else pc.index(self.column, to_scalar(value)).as_py()
        if position < 0:
            raise self._unknown(wanted)
        return int(position)

    def positions(self, wanted: Iterable[Id] | pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Rows (n,) int64 of many ids, in their order.

        Raises:
            BundleError: no such id, the first of them; the message names close ones.
        """
        if not isinstance(wanted, pa.Array | pa.ChunkedArray):
            wanted = list(wanted)
            values = [as_type(value, self.column.type) for value in wanted]
            if None in values:
                raise self._unknown(wanted[values.index(None)])
            array = pa.array(values, self.column.type)
        else:
            array = wanted.cast(self.column.type)
            array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        found = pc.index_in(array, self.column.combine_chunks())
        if found.null_count:
            raise self._unknown(array.filter(found.is_null())[0].as_py())
        return to_numpy(found).astype(np.int64)

    def _unknown(self, wanted: object) -> BundleError:
        return BundleError(
            f"{self._name}: no {self._kind} {wanted!r}{did_you_mean(self._close(str(wanted)))}"
        )

    def _close(self, wanted: str) -> list[str]:
        ids, pool = self.column.cast(pa.string()), dict[str, None]()
        for length in range(len(wanted), 0, -1):
            alike = ids.filter(pc.starts_with(ids, wanted[:length])).slice(0, _SUGGESTION_POOL - len(pool))
            pool.update(dict.fromkeys(alike.to_pylist()))
            if len(pool) == _SUGGESTION_POOL:
                break
        return difflib.get_close_matches(wanted, pool, n=3)


def as_type(value: object, type_: pa.DataType) -> str | int | bool | None:
    """The value as a column stores it; None where the column cannot hold it."""
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


def did_you_mean(close: Sequence[str]) -> str:
    """The end of an error's line."""
    return f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
