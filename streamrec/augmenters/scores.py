"""`ScoreMap`: encoded numbers to the continuous scores that a flow or a diffusion learns, and back.

A repeated value (an atom, an integer) is not a point of the score axis but an interval, as long as the
value's share of the rows: uniform dequantisation in rank space (Theis et al. 2016; Ho et al. 2019). A score
anywhere in it decodes to exactly that value, so exact zeros and whole numbers need no luck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from streamrec.catalog.encoded import EncodedRows
from streamrec.layout import MISSING_STATE

Floats = NDArray[np.float64]

MAX_INTERVALS = 4_000
"""Repeated values per column that get an interval, the most frequent first."""
KNOTS = 1_000
"""Values per column that are followed exactly besides."""
CONTINUOUS = 0.05
"""A column with a smaller share of its rows on repeated values is continuous."""
MAX_SKEWNESS = 1.0
"""A continuous column of scores at most this skewed keeps them: its density stays smooth."""


class Ranks(NamedTuple):
    """Where the cells of items lie on the score axis, before a repeated value is spread over its interval."""

    scores: NDArray[np.float32]
    """(n, N): the score of a cell that is not spread; anything else where it is."""
    low: NDArray[np.float32]
    """(n, N): share of the training rows below the cell's interval, 0 where the cell is missing."""
    high: NDArray[np.float32]
    """(n, N): the same, the interval included; equal to `low` where the cell is not spread."""


@dataclass(frozen=True)
class ScoreColumn:
    """One column: a piecewise linear map through breakpoints, flat over each interval of a repeated value."""

    numbers: Floats
    """(b,) encoded numbers, not decreasing: a repeated value stands twice, at both ends of its interval."""
    scores: Floats
    """(b,) scores, not decreasing."""
    values: Floats
    """(v,) repeated encoded numbers, ascending."""
    low: Floats
    """(v,) share of the training rows below each."""
    high: Floats
    """(v,) share of the training rows below or at each."""

    @classmethod
    def fit(cls, numbers: Floats) -> ScoreColumn:
        """From the encoded numbers (n,) of the training rows that have one."""
        values, counts = np.unique(numbers, return_counts=True)
        if len(values) == 0:
            return cls(*(np.zeros(0) for _ in range(5)))
        n = int(counts.sum())
        ends = np.cumsum(counts) / n
        starts = ends - counts / n
        repeated = counts >= 2
        if counts[repeated].sum() < CONTINUOUS * n and _is_plain(values, counts):
            none = np.zeros(0)
            return cls(values[[0, -1]], values[[0, -1]], none, none, none)
        spread = np.flatnonzero(repeated)
        if len(spread) > MAX_INTERVALS:
            spread = np.sort(spread[np.argsort(-counts[spread], kind="stable")[:MAX_INTERVALS]])
        single = np.setdiff1d(np.arange(len(values)), spread)
        if len(single) > KNOTS:
            middle = ndtri((starts[single] + ends[single]) / 2)
            grid = np.linspace(middle[0], middle[-1], KNOTS)
            single = np.unique(single[np.clip(np.searchsorted(middle, grid), 0, len(single) - 1)])
        # Half a row beyond the ends: the outermost scores stay finite.
        edge = 0.5 / n
        points = np.concatenate([values[single], values[spread], values[spread]])
        ranks = np.concatenate([(starts[single] + ends[single]) / 2, starts[spread], ends[spread]])
        order = np.lexsort((ranks, points))
        return cls(
            points[order],
            ndtri(np.clip(ranks[order], edge, 1 - edge)),
            values[spread],
            starts[spread],
            ends[spread],
        )

    def place(self, numbers: Floats) -> tuple[Floats, Floats, Floats]:
        """Score, low and high (n,) of encoded numbers (n,)."""
        if len(self.numbers) == 0:
            return np.zeros(len(numbers)), np.zeros(len(numbers)), np.ones(len(numbers))
        if len(self.values) == 0:
            low = np.zeros(len(numbers))
            return self._score(numbers), low, low
        index = np.minimum(np.searchsorted(self.values, numbers), len(self.values) - 1)
        hit = self.values[index] == numbers
        return (
            self._score(numbers),
            np.where(hit, self.low[index], 0.0),
            np.where(hit, self.high[index], 0.0),
        )

    def number(self, scores: Floats) -> Floats:
        """Encoded numbers (n,), within the training range, of any scores (n,)."""
        if len(self.numbers) < 2:
            return np.full(len(scores), self.numbers[0] if len(self.numbers) else 0.0)
        return np.interp(scores, self.scores, self.numbers)

    def log_derivative(self, numbers: Floats) -> Floats:
        """Log of d score / d number (n,) of numbers that are not spread; on a breakpoint, the slope below."""
        if len(self.numbers) < 2:
            return np.zeros(len(numbers))
        wide = np.flatnonzero(np.diff(self.numbers) > 0)
        if len(wide) == 0:
            return np.zeros(len(numbers))
        rise = np.maximum(np.diff(self.scores)[wide], 1e-9)
        slopes = np.log(rise / np.diff(self.numbers)[wide])
        return slopes[np.clip(np.searchsorted(self.numbers[wide], numbers) - 1, 0, len(wide) - 1)]

    def _score(self, numbers: Floats) -> Floats:
        return (
            np.interp(numbers, self.numbers, self.scores) if len(self.numbers) > 1 else np.zeros(len(numbers))
        )


@dataclass(frozen=True)
class ScoreMap:
    """The columns of a codec's `EncodedRows.numbers`, in its order."""

    columns: tuple[ScoreColumn, ...]

    @classmethod
    def fit(cls, rows: EncodedRows) -> ScoreMap:
        """From training rows (n,)."""
        numbers = rows.numbers.astype(np.float64)
        present = rows.states != MISSING_STATE
        return cls(tuple(ScoreColumn.fit(numbers[present[:, c], c]) for c in range(numbers.shape[1])))

    def ranks(self, rows: EncodedRows) -> Ranks:
        """Where the cells of rows (n,) lie; a missing cell is spread over the whole axis."""
        shape = rows.numbers.shape
        placed = Ranks(*(np.zeros(shape, np.float32) for _ in range(3)))
        for index, column in enumerate(self.columns):
            for array, found in zip(
                placed, column.place(rows.numbers[:, index].astype(np.float64)), strict=True
            ):
                array[:, index] = found
        missing = rows.states == MISSING_STATE
        placed.low[missing], placed.high[missing] = 0, 1
        return placed

    def numbers(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Encoded numbers (n, N) of scores (n, N)."""
        found = [column.number(scores[:, c].astype(np.float64)) for c, column in enumerate(self.columns)]
        return np.stack(found, 1).astype(np.float32) if found else scores.astype(np.float32)

    def log_derivative(self, rows: EncodedRows, ranks: Ranks, scores: NDArray[np.floating]) -> Floats:
        """What turns a log density of scores into one of encoded numbers, per cell (n, N).

        An ordinary cell: log d score / d number. A spread one: log of its share less the log density of a
        standard normal, the importance weight of a draw that is normal within the interval: the mean over
        draws of log density plus this is a lower bound of the log probability of the value.
        """
        spread = ranks.high > ranks.low
        share = np.log(np.maximum(ranks.high.astype(np.float64) - ranks.low, 1e-12))
        normal = -0.5 * scores.astype(np.float64) ** 2 - 0.5 * np.log(2 * np.pi)
        slopes = [c.log_derivative(rows.numbers[:, i].astype(np.float64)) for i, c in enumerate(self.columns)]
        ordinary = np.stack(slopes, 1) if slopes else np.zeros(scores.shape)
        return np.where(spread, share - normal, ordinary)

    def to_arrays(self) -> dict[str, Floats]:
        """Breakpoints and intervals by name; `from_arrays` reads them back."""
        return {
            f"{index}.{name}": getattr(column, name)
            for index, column in enumerate(self.columns)
            for name in ScoreColumn.__dataclass_fields__
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> ScoreMap:
        """Inverse of `to_arrays`."""
        count = len(arrays) // len(ScoreColumn.__dataclass_fields__)
        return cls(
            tuple(
                ScoreColumn(**{name: arrays[f"{index}.{name}"] for name in ScoreColumn.__dataclass_fields__})
                for index in range(count)
            )
        )


def spread(ranks: Ranks, seed: int) -> NDArray[np.float32]:
    """Scores (n, N): every spread cell normal within its interval, drawn by seed."""
    inside = ranks.high > ranks.low
    draws = np.random.default_rng(seed).random(ranks.low.shape)
    levels = ranks.low + (ranks.high - ranks.low) * draws
    return np.where(inside, ndtri(np.clip(levels, 1e-6, 1 - 1e-6)), ranks.scores).astype(np.float32)


def _is_plain(values: Floats, counts: NDArray[np.int64]) -> bool:
    weights = counts / counts.sum()
    mean = float(weights @ values)
    deviation = float(np.sqrt(weights @ (values - mean) ** 2))
    return deviation > 0 and abs(float(weights @ ((values - mean) / deviation) ** 3)) <= MAX_SKEWNESS
