"""How sure imputed cells are, read off what differs between the draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.catalog.numbers import read_numbers
from streamrec.evaluation import formats
from streamrec.schema import FeatureSchema


def uncertainty_lines(
    table: pa.Table, draws: Sequence[pa.Table], schema: FeatureSchema
) -> list[tuple[str, ...]]:
    """A header and a line per column with imputed cells: how many, and how far their draws agree.

    For numbers the standard deviation over a cell's draws, averaged over the cells, beside that of the
    column's cells that were there: 100% would say that the other columns tell nothing. For categories and
    labels the share of the draws that agree with the most frequent one."""
    lines: list[tuple[str, ...]] = [("column", "cells", "filled", "draws")]
    for name in schema.feature_columns:
        before = _empty(name, table[name], schema)
        if not before.any():
            continue
        drawn = [draw[name].filter(pa.array(before)) for draw in draws]
        filled = before & ~_empty(name, draws[0][name], schema)
        told = ""
        if len(draws) > 1 and filled.any():
            told = _spread(name, table, drawn) if name in schema.numeric else _agreement(drawn)
        lines.append((name, formats.count(int(before.sum())), formats.count(int(filled.sum())), told))
    return lines if len(lines) > 1 else [("no missing cell",)]


def _empty(name: str, column: pa.ChunkedArray, schema: FeatureSchema) -> np.ndarray:
    if name in schema.numeric:
        return ~np.isfinite(read_numbers(name, column))
    return np.asarray(pc.is_null(column).to_numpy())


def _spread(name: str, table: pa.Table, drawn: Sequence[pa.ChunkedArray]) -> str:
    cells = np.array([read_numbers(name, column) for column in drawn])
    there = read_numbers(name, table[name])
    there = there[np.isfinite(there)]
    usual = float(there.std()) if len(there) else 0.0
    spread = float(np.mean(cells.std(axis=0, ddof=1)))
    if usual == 0:
        return f"spread {formats.number(spread)}"
    return f"spread {formats.number(spread)}, {formats.percent(spread / usual, 0)} of the column's"


def _agreement(drawn: Sequence[pa.ChunkedArray]) -> str:
    cells = zip(*(map(str, column.to_pylist()) for column in drawn), strict=True)
    shares = [Counter(values).most_common(1)[0][1] / len(drawn) for values in cells]
    return f"{formats.percent(float(np.mean(shares)), 0)} agree"
