"""How one numeric column is scaled: a monotone, piecewise linear map fitted to its training values.

Every function here takes the column as its distinct values, ascending, and how many rows hold each:
the fit then depends on neither the order nor the chunking of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

KNOTS = 1_000
"""Distinct values up to which the quantile map is exact; above, about as many knots are kept."""
LARGEST = 1e300
"""Numbers of larger magnitude are scaled as this one: sums and slopes stay finite."""
SMALLEST_GAP = 1e-280
"""Knots closer than this are one knot: slopes stay finite."""
STANDS_OUT = 3.0
"""An atom holds at least this many times the rows of a typical value near it."""
NEIGHBOURS = 4
"""Distinct values on each side that an atom is compared with."""
MAX_SKEWNESS = 0.75
"""Bound of `is_near_normal`: an exponential column has skewness 2, a gamma of shape 9 has 0.67."""
EXCESS_KURTOSIS = (-1.0, 2.0)
"""Bounds of `is_near_normal`: a uniform column has -1.2, a logistic one 1.2, a Laplace one 3."""


@dataclass(frozen=True)
class Scaler:
    """Piecewise linear map from values to scores through knots; constant beyond the first and last.

    A value outside the training range is thus scaled as the nearest training value. A knot's score is
    a float32 number, so a value at a knot comes back exactly.
    """

    values: Floats
    """(k,) strictly increasing; the first and last are the training range. k = 0: no training value."""
    scores: Floats
    """(k,) strictly increasing; mean 0 and variance 1 over the training rows, 0 for a constant."""

    def scale(self, values: Floats) -> NDArray[np.float32]:
        """Scores (n,) of finite values (n,): finite, and monotone to within 1e-12."""
        return np.interp(values, self.values, self.scores).astype(np.float32)

    def unscale(self, scores: NDArray[np.floating[Any]]) -> Floats:
        """Values (n,) of any scores (n,), within the training range; NaN is taken as score 0."""
        values = np.interp(np.nan_to_num(scores.astype(np.float64), nan=0.0), self.scores, self.values)
        # Rounding can carry an interpolated value just past the knot.
        return np.clip(values, self.values[0], self.values[-1])

    def log_derivative(self, values: Floats) -> Floats:
        """Log of d score / d value (n,): add it to a log density of scores to get one of values.

        At a knot the slope on its left is taken, at and below the first knot the slope on its right.
        It needs two knots: a constant has no density.
        """
        slopes = np.diff(self.scores) / np.diff(self.values)
        return np.log(slopes)[np.clip(np.searchsorted(self.values, values) - 1, 0, len(slopes) - 1)]


def fit_standard(values: Floats, counts: Counts) -> Scaler:
    """(value - mean) / standard deviation, over the training range."""
    ends = values[[0, -1]] if len(values) > 1 else values
    mean, deviation = _moments(values, counts)
    return _strictly_increasing(ends, (ends - mean) / deviation)


def fit_quantile(values: Floats, counts: Counts, atoms: Floats) -> Scaler:
    """Normal score of the value's mid-rank, linear between knots, then standardised.

    The mid-rank of a value is the share of rows below it plus half the share of rows at it. Beyond
    `KNOTS` distinct values the knots are those nearest to evenly spaced normal scores, so that the tails
    are followed to the last value, and every atom with its two neighbours, so that the jump at an atom
    is not smeared over ordinary values.
    """
    normal = NormalDist()
    ranks = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
    chosen = np.arange(len(values))
    if len(values) > KNOTS:
        grid = np.linspace(normal.inv_cdf(ranks[0]), normal.inv_cdf(ranks[-1]), KNOTS)
        nearest = np.searchsorted(ranks, [normal.cdf(score) for score in grid])
        beside = np.searchsorted(values, atoms)[:, None] + [-1, 0, 1]
        last = len(values) - 1
        chosen = np.unique(np.clip(np.concatenate([[0, last], nearest, beside.ravel()]), 0, last))
    knots = values[chosen]
    scores = np.array([normal.inv_cdf(rank) for rank in ranks[chosen]])
    if len(values) > 0:
        mean, deviation = _moments(np.interp(values, knots, scores), counts)
        scores = (scores - mean) / deviation
    return _strictly_increasing(knots, scores)


def is_near_normal(values: Floats, counts: Counts) -> bool:
    """Whether |skewness| <= 0.75 and -1 <= excess kurtosis <= 2, as in a normal or a short mixture."""
    mean, deviation = _moments(values, counts)
    scores, weights = (values - mean) / deviation, counts / counts.sum()
    skewness = float(weights @ scores**3)
    excess_kurtosis = float(weights @ scores**4) - 3
    return abs(skewness) <= MAX_SKEWNESS and EXCESS_KURTOSIS[0] <= excess_kurtosis <= EXCESS_KURTOSIS[1]


def find_atoms(values: Floats, counts: Counts, min_share: float, max_atoms: int) -> Floats:
    """Exact values that deserve a state of their own, ascending.

    A column with at most `max_atoms` distinct values is all atoms: it is a category in disguise. In any
    other column an atom is held by at least `min_share` of the rows with a value, and by at least three
    times as many as the median of its neighbours, the four distinct values on each side. So a zero that
    half the rows hold is an atom, and none of seven equally frequent weekdays is: they are a scale, on
    which every choice of a few would be arbitrary. The most frequent (then the smallest) are kept.
    """
    if len(values) <= max_atoms:
        return values
    frequent = np.flatnonzero(counts >= min_share * counts.sum())
    standing_out = []
    for index in frequent:
        low = max(index - NEIGHBOURS, 0)
        near = np.concatenate([counts[low:index], counts[index + 1 : index + 1 + NEIGHBOURS]])
        if counts[index] >= STANDS_OUT * np.median(near):
            standing_out.append(index)
    standing_out.sort(key=lambda index: -counts[index])
    return values[sorted(standing_out[:max_atoms])]


def _moments(values: Floats, counts: Counts) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 1 for a constant, so that it can divide."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else 0.0), 1.0
    weights = counts / counts.sum()
    mean = float(weights @ values)
    # Squares of the largest allowed numbers overflow: measure in units of the range.
    unit = float(values[-1] / 2 - values[0] / 2)
    deviation = unit * float(np.sqrt(weights @ ((values - mean) / unit) ** 2)) if unit > 0 else 0.0
    return mean, deviation if deviation > 0 else 1.0


def _strictly_increasing(values: Floats, scores: Floats) -> Scaler:
    rounded = scores.astype(np.float32).astype(np.float64)
    keep = np.ones(len(values), dtype=bool)
    keep[1:] = (np.diff(values) > SMALLEST_GAP) & (np.diff(rounded) > 0)
    return Scaler(values[keep], rounded[keep])
