"""Raw item rows as registry consumers send them (a pandas frame) to the Arrow table an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from streamrec.errors import CatalogError

if TYPE_CHECKING:
    import pandas as pd


def table_from_frame(frame: pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    """Those of `columns` that `frame` has; NaN, NaT, None and NA become null, the index is dropped.

    Types are taken from the cells where the frame's say `object`: JSON leaves lists, integers beside
    missing cells and all-missing columns so.

    Raises:
        CatalogError: the cells of one column are of different kinds.
    """
    return pa.table({name: _array(name, frame[name]) for name in columns if name in frame.columns})


def _array(name: str, cells: pd.Series) -> pa.Array | pa.ChunkedArray:
    try:
        found = pa.array(cells, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CatalogError(
            f"item rows: column '{name}' holds different kinds of values ({' '.join(str(error).split())}); "
            "send one kind, and null where missing"
        ) from None
    # Without a value the type says nothing: pandas holds a column of nothing as floats.
    return pa.nulls(len(found)) if found.null_count == len(found) else found


def frame_from_table(table: pa.Table) -> pd.DataFrame:
    """The rows as a frame that is also sound JSON: missing cells are None, integers beside them integers."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: column.to_pandas() if _is_plain(column) else pd.Series(column.to_pylist(), dtype=object)
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )


def _is_plain(column: pa.ChunkedArray) -> bool:
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return number and column.null_count == 0
