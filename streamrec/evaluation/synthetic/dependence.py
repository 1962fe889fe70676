"""Trend error: how far the dependence of each pair of features is from that among the real rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.synthetic.columns import Columns

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

DECILES = np.linspace(0.1, 0.9, 9)
BLOCK = 4096
"""Rows whose indicators are held at once."""


def trend_errors(real: Columns, synthetic: Columns) -> Floats:
    """Error in [0, 1] of each pair of features (F, F), symmetric, in the order of `Columns.features`.

    Two numbers: half the absolute difference of their Pearson correlations. Any other pair: total
    variation distance of the joint distribution, numbers cut at the deciles of the real rows, which are
    to be all training rows; a missing cell is a value of its own. The diagonal is 0 and means nothing.

    Raises:
        CatalogError: the tables were not read with the same vocabularies.
    """
    real.require_comparable(synthetic)
    edges = [_decile_edges(column) for column in real.numbers.T]
    sizes = np.array(
        [len(cuts) + 2 for cuts in edges]
        + [codec.codes for codec in real.category_codecs]
        + [2] * real.labels.shape[1]
    )
    numeric = len(edges)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    difference = _joint(_codes(real, edges), starts, numeric)
    difference -= _joint(_codes(synthetic, edges), starts, numeric)
    discrete = starts[numeric:-1] - starts[numeric]
    errors = np.zeros((len(sizes), len(sizes)))
    if len(discrete):
        by_column = np.add.reduceat(np.abs(difference, out=difference), starts[:-1], axis=1)
        errors[numeric:] = np.add.reduceat(by_column, discrete, axis=0) / 2
        errors[:numeric, numeric:] = errors[numeric:, :numeric].T
    errors[:numeric, :numeric] = np.abs(correlations(real) - correlations(synthetic)) / 2
    np.fill_diagonal(errors, 0)
    return errors


def trend_error(errors: Floats) -> float:
    """Mean of `trend_errors` (F, F) over all pairs; 0 where there is one feature only."""
    pairs = errors[np.triu_indices(len(errors), 1)]
    return float(pairs.mean()) if len(pairs) else 0.0


def correlations(columns: Columns) -> Floats:
    """Pearson correlations (N, N) of the numeric columns over the rows that have both.

    0 for a column that does not vary there, on the diagonal too.
    """
    there = (~np.isnan(columns.numbers)).astype(np.float64)
    values = np.empty_like(columns.numbers)
    for index, column in enumerate(columns.numbers.T):
        values[:, index] = _standardised(column)
    rows = np.maximum(there.T @ there, 1)
    # Over the rows that have both i and j: entry (i, j) belongs to column i, the transposed one to j.
    sums = values.T @ there
    squares = (values**2).T @ there
    covariance = values.T @ values / rows - sums * sums.T / rows**2
    variance = np.maximum(squares / rows - (sums / rows) ** 2, 0)
    # Rounding leaves a column that is constant over these rows some 1e-16 of its variance over all.
    varies = np.minimum(variance, variance.T) > 1e-12
    scale = np.sqrt(np.where(varies, variance * variance.T, 1))
    return np.where(varies, np.clip(covariance / scale, -1, 1), 0.0)


def _standardised(column: Floats) -> Floats:
    """The column (n,) with mean 0 and variance 1; 0 where missing, and all 0 where it is constant."""
    there = ~np.isnan(column)
    values = column[there]
    result = np.zeros(len(column))
    if len(values) and values.min() < values.max():
        # The square of a value near the largest float64 has none.
        values = values / np.abs(values).max()
        result[there] = (values - values.mean()) / values.std()
    return result


def _decile_edges(column: Floats) -> Floats:
    values = column[~np.isnan(column)]
    return np.unique(np.quantile(values, DECILES)) if len(values) else np.empty(0)


def _codes(columns: Columns, edges: list[Floats]) -> Codes:
    """One code per feature (n, F); that of a missing number is the one after its last bin."""
    bins = [
        np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column, side="right"))
        for cuts, column in zip(edges, columns.numbers.T, strict=True)
    ]
    return np.column_stack(
        [np.empty((len(columns), 0), np.int64), *bins, columns.categories, columns.labels.astype(np.int64)]
    )


def _joint(codes: Codes, starts: Codes, numeric: int) -> Floats:
    """Share of the rows with both outcomes: one of a category or label, one of any feature; (K, O)."""
    counts = np.zeros((starts[-1] - starts[numeric], starts[-1]))
    for begin in range(0, len(codes), BLOCK):
        block = codes[begin : begin + BLOCK] + starts[:-1]
        indicators = np.zeros((len(block), starts[-1]), np.float32)
        np.put_along_axis(indicators, block, 1, axis=1)
        counts += indicators[:, starts[numeric] :].T @ indicators
    return counts / len(codes)
