"""Profiles of single columns: rows by bin, by category, occurrences by label."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

BINS = 20
"""Quantile bins of a number; a value that fills a bin by itself gets a bin of its own."""
NAMED = 1_000
"""Categories and labels that are counted by name; the rest is counted together."""
EDGE_ROWS = 100_000
"""Cells of a column from which bin edges are drawn (a seeded sample); the bins count every row."""


class _Counts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumericProfile(_Counts):
    """Rows of a numeric column by bin, the smallest and the largest finite value."""

    kind: Literal["numeric"] = "numeric"
    missing: int
    """Null cells."""
    not_finite: int
    """NaN and infinite cells: in no bin."""
    minimum: float | None
    maximum: float | None
    atoms: tuple[float, ...]
    """Exact values that are bins by themselves, ascending."""
    edges: tuple[float, ...]
    """Inner edges of the other bins, ascending; a bin holds its lower edge and not its upper."""
    counts: tuple[int, ...]
    """Rows per bin, one more than `grid` has edges: the first and the last bin are open."""

    @model_validator(mode="after")
    def _one_count_per_bin(self) -> NumericProfile:
        if len(self.counts) != len(self.grid) + 1:
            raise ValueError(f"{len(self.counts)} counts for {len(self.grid) + 1} bins")
        return self

    @classmethod
    def of(cls, column: pa.ChunkedArray, bins_of: NumericProfile | None, seed: int) -> NumericProfile:
        """Count the cells, in the bins of another profile if one is given."""
        cells = pc.cast(column.drop_null(), pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        values = cells[np.isfinite(cells)] + 0.0  # minus zero becomes zero
        atoms, edges = _choose_bins(values, seed) if bins_of is None else (bins_of.atoms, bins_of.edges)
        grid = _grid(atoms, edges)
        counts = np.bincount(np.searchsorted(grid, values, side="right"), minlength=len(grid) + 1)
        return cls(
            missing=column.null_count,
            not_finite=len(cells) - len(values),
            minimum=float(values.min()) if len(values) else None,
            maximum=float(values.max()) if len(values) else None,
            atoms=atoms,
            edges=edges,
            counts=tuple(counts.tolist()),
        )

    @property
    def grid(self) -> NDArray[np.float64]:
        """All edges (k,), ascending: an atom lies between itself and the next float."""
        return _grid(self.atoms, self.edges)

    @property
    def bin_names(self) -> list[str]:
        """What people call the bins."""
        grid = self.grid.tolist()
        if not grid:
            return ["any value"]
        inner = [
            f"= {low:.4g}" if low in self.atoms else f"{low:.4g} to {high:.4g}"
            for low, high in pairwise(grid)
        ]
        last = ">" if np.nextafter(grid[-1], -math.inf) in self.atoms else "≥"
        return [f"< {in_words(grid[0])}", *inner, f"{last} {in_words(grid[-1])}"]


class CategoryProfile(_Counts):
    """Rows of a categorical column by category, or occurrences in a multi-label column by label."""

    kind: Literal["category", "labels"]
    missing: int
    """Null cells."""
    empty: int
    """Items of a multi-label column whose list is there and holds no label."""
    counts: dict[str, int]
    """Rows (occurrences) of each named value, the most frequent first."""
    other: int
    """Rows (occurrences) of values that are not named."""

    @classmethod
    def of(
        cls, column: pa.ChunkedArray, kind: Literal["category", "labels"], named: Collection[str]
    ) -> CategoryProfile:
        """Count the `NAMED` most frequent values by name, and those in `named`."""
        values, empty = column, 0
        if kind == "labels":
            empty = pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0
            values = pc.list_flatten(column)
        tally = values.drop_null().value_counts()
        names = pc.cast(tally.field("values"), pa.string())
        table = pa.table({"name": names, "count": tally.field("counts")})
        table = table.sort_by([("count", "descending"), ("name", "ascending")])
        later = table.slice(NAMED)
        kept = pa.concat_tables(
            [table.slice(0, NAMED), later.filter(pc.is_in(later["name"], pa.array(named, pa.string())))]
        )
        counts = dict(zip(kept["name"].to_pylist(), kept["count"].to_pylist(), strict=True))
        total = pc.sum(table["count"]).as_py() or 0
        return cls(
            kind=kind,
            missing=column.null_count,
            empty=empty,
            counts=counts,
            other=total - sum(counts.values()),
        )


def in_words(number: float) -> str:
    """A number as people write it: thousands apart, at most six digits that matter."""
    return f"{number:,.0f}" if 1e4 <= abs(number) < 1e15 else f"{number:.6g}"


def _choose_bins(values: NDArray[np.float64], seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if len(values) > EDGE_ROWS:
        values = np.random.default_rng(seed).choice(values, EDGE_ROWS, replace=False)
    distinct, counts = np.unique(values, return_counts=True)
    own_bin = counts * BINS >= len(values)
    atoms = distinct[own_bin].tolist()
    rest = np.repeat(distinct[~own_bin], counts[~own_bin])
    if len(rest) == 0:
        return tuple(atoms), ()
    edges = np.unique(np.quantile(rest, np.linspace(0, 1, BINS + 1)[1:-1], method="higher"))
    return tuple(atoms), tuple(edges.tolist())


def _grid(atoms: tuple[float, ...], edges: tuple[float, ...]) -> NDArray[np.float64]:
    starts = np.array(atoms, np.float64)
    with np.errstate(over="ignore"):  # infinity is the float after the largest
        ends = np.nextafter(starts, math.inf)
    return np.unique(np.concatenate([starts, ends, np.array(edges, np.float64)]))
