"""`MomentRatio`: the log-linear part of a density ratio, by which thinned rows match the tables of real ones.

Of all weights of drawn rows that match the shares of real rows in given tables, those of the form exp(sum of
one effect per table) are nearest to what the rows had before (maximum entropy, Jaynes 1957; raking, Deville
and Särndal, "Calibration estimators in survey sampling", 1992). Trees see what few rows share; the shares of
single columns, and of columns by category, are matched better by an effect of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from streamrec.augmenters.refinement.inputs import Codes, Flags, Floats

SINGLE_BINS = 50
"""Bins of a number by itself, of about equal shares of real rows."""
CROSSED_BINS = 10
"""Bins of a number crossed with a discrete column."""
CROSSED_CLASSES = 32
"""Discrete columns of more classes are not crossed with numbers."""
CROSSED_COLUMNS = 6
"""Discrete columns that are crossed, at most: the first."""
SINGLE_DEVIATION, CROSSED_DEVIATION = 0.3, 0.1
"""Standard deviations of an effect of a column's own table, and of a crossed one, before the rows are seen:
what few real rows say is shrunk."""
ITERATIONS = 150

Logs = NDArray[np.float64]


@dataclass(frozen=True)
class MomentRatio:
    """Effects of tables of binned columns."""

    single: NDArray[np.float32]
    """(N, SINGLE_BINS - 1) edges of each number's scores, rising; repeated where a value is frequent."""
    crossed: NDArray[np.float32]
    """(N, CROSSED_BINS - 1)."""
    classes: NDArray[np.int64]
    """(K,) number of classes of each discrete column."""
    effects: Logs
    """Effects of all cells of all tables, one table after another."""

    @classmethod
    def fit(
        cls,
        real: tuple[Floats, Flags, Codes],
        drawn: tuple[Floats, Flags, Codes],
        classes: Sequence[int],
    ) -> MomentRatio:
        """Find the effects.

        Args:
            real: scores (n, N), missing flags (n, N) and codes (n, K) of real rows.
            drawn: the same of drawn rows (m, ...), best several times n.
            classes: classes of each discrete column (K,).
        """
        single, crossed = (_edges(real[0], real[1], bins) for bins in (SINGLE_BINS, CROSSED_BINS))
        empty = cls(single, crossed, np.array(classes, np.int64), np.zeros(0))
        sizes = empty._sizes
        starts = np.cumsum([0, *sizes])
        offsets = starts[:-1]
        real_cells = [cells + start for cells, start in zip(empty._cells(*real), offsets, strict=True)]
        drawn_cells = [cells + start for cells, start in zip(empty._cells(*drawn), offsets, strict=True)]
        n, width = len(real[0]), int(starts[-1])
        target = np.zeros(width)
        for cells in real_cells:
            target += np.bincount(cells, minlength=width) / n
        single_cells = int(starts[len(empty.single) + len(classes)])
        deviations = np.where(np.arange(width) < single_cells, SINGLE_DEVIATION, CROSSED_DEVIATION)
        penalty = 1 / (n * deviations**2)

        def dual(effects: Logs) -> tuple[float, Logs]:
            logs = np.zeros(len(drawn[0]))
            for cells in drawn_cells:
                logs += effects[cells]
            highest = logs.max()
            weights = np.exp(logs - highest)
            total = weights.sum()
            weights /= total
            slope = penalty * effects - target
            for cells, start, size in zip(drawn_cells, offsets, sizes, strict=True):
                slope[start : start + size] += np.bincount(cells - start, weights, minlength=size)
            value = highest + np.log(total) - effects @ target + 0.5 * effects @ (penalty * effects)
            return float(value), slope

        found = minimize(dual, np.zeros(width), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
        return replace(empty, effects=found.x)

    def log_ratio(self, scores: Floats, missing: Flags, codes: Codes) -> Logs:
        """Log ratio (n,) of rows, up to a constant."""
        total, start = np.zeros(len(scores)), 0
        for cells, size in zip(self._cells(scores, missing, codes), self._sizes, strict=True):
            total += self.effects[start + cells]
            start += size
        return total

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for safetensors."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> MomentRatio:
        """Inverse of `to_arrays`."""
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})

    @property
    def _crossed_columns(self) -> list[int]:
        small = [k for k, count in enumerate(self.classes.tolist()) if count <= CROSSED_CLASSES]
        return small[:CROSSED_COLUMNS]

    @property
    def _sizes(self) -> list[int]:
        """Cells of each table."""
        numbers, classes = len(self.single), self.classes.tolist()
        sizes = [SINGLE_BINS + 1] * numbers + classes
        for place, column in enumerate(self._crossed_columns):
            sizes += [classes[column] * (CROSSED_BINS + 1)] * numbers
            sizes += [classes[column] * classes[other] for other in self._crossed_columns[:place]]
        return sizes

    def _cells(self, scores: Floats, missing: Flags, codes: Codes) -> list[NDArray[np.int64]]:
        """Cell (n,) of each row in every table; a missing number has a cell of its own."""
        single = _bins(scores, missing, self.single)
        crossed = _bins(scores, missing, self.crossed)
        tables = [*single, *codes.T.astype(np.int64)]
        for place, column in enumerate(self._crossed_columns):
            code = codes[:, column].astype(np.int64)
            tables += [code * (CROSSED_BINS + 1) + bins for bins in crossed]
            tables += [
                code * self.classes[other] + codes[:, other] for other in self._crossed_columns[:place]
            ]
        return tables


def _edges(scores: Floats, missing: Flags, bins: int) -> NDArray[np.float32]:
    """(N, bins - 1) quantiles of the scores that are there."""
    levels = np.linspace(0, 1, bins + 1)[1:-1]
    columns = [
        np.quantile(cells[~flags], levels, method="lower") if not flags.all() else np.zeros(len(levels))
        for cells, flags in zip(scores.T, missing.T, strict=True)
    ]
    return np.array(columns, np.float32).reshape(len(columns), len(levels))


def _bins(scores: Floats, missing: Flags, edges: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Bin (n,) of each column's cells; the last for those that are missing."""
    return [
        np.where(flags, len(row) + 1, np.searchsorted(row, cells.astype(np.float32), side="right"))
        for cells, flags, row in zip(scores.T, missing.T, edges, strict=True)
    ]
