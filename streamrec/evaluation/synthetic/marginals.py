"""Shape error: how far each feature's distribution is from that of the real rows, alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.synthetic.columns import Columns

Floats = NDArray[np.float64]

PROBABILITIES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Quantiles that the table of a column shows; 0 and 1 are its bounds."""


def shape_errors(real: Columns, synthetic: Columns) -> Floats:
    """Error in [0, 1] of each feature (F,) in the order of `Columns.features`; the shape error is their mean.

    `real` is all training rows. Numbers: the two-sample Kolmogorov-Smirnov statistic, a missing cell counted
    as a value below all others. Categories and labels: total variation distance, missing being a category.

    Raises:
        CatalogError: the tables were not read with the same vocabularies.
    """
    real.require_comparable(synthetic)
    numbers = [
        kolmogorov_smirnov(mine, theirs)
        for mine, theirs in zip(real.numbers.T, synthetic.numbers.T, strict=True)
    ]
    categories = [
        total_variation(_shares(mine, codec.codes), _shares(theirs, codec.codes))
        for codec, mine, theirs in zip(
            real.category_codecs, real.categories.T, synthetic.categories.T, strict=True
        )
    ]
    labels = np.abs(real.labels.mean(0, dtype=np.float64) - synthetic.labels.mean(0, dtype=np.float64))
    return np.concatenate([numbers, categories, labels])


def kolmogorov_smirnov(first: Floats, second: Floats) -> float:
    """Largest distance between the distribution functions of two samples (n,) and (m,); NaN is lowest."""
    first, second = (np.sort(np.nan_to_num(sample, nan=-np.inf)) for sample in (first, second))
    values = np.concatenate([first, second])
    below_first = np.searchsorted(first, values, side="right") / len(first)
    below_second = np.searchsorted(second, values, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def total_variation(first: Floats, second: Floats) -> float:
    """Half the summed absolute difference of two distributions over the same outcomes (k,)."""
    return float(np.abs(first - second).sum() / 2)


def quantile_table(
    real: Columns, synthetic: Columns, probabilities: Sequence[float] = PROBABILITIES
) -> list[dict[str, Any]]:
    """Per numeric column: `column`, `real` and `synthetic` quantiles at `probabilities`, shares missing.

    JSON-ready; quantiles are those of the cells that are there, None where there are none.
    """
    return [
        {
            "column": name,
            "real": _quantiles(mine, probabilities),
            "synthetic": _quantiles(theirs, probabilities),
            "real_missing": float(np.isnan(mine).mean()),
            "synthetic_missing": float(np.isnan(theirs).mean()),
        }
        for name, mine, theirs in zip(real.schema.numeric, real.numbers.T, synthetic.numbers.T, strict=True)
    ]


def _shares(codes: NDArray[np.int64], size: int) -> Floats:
    return np.bincount(codes, minlength=size) / len(codes)


def _quantiles(column: Floats, probabilities: Sequence[float]) -> list[float] | None:
    values = column[~np.isnan(column)]
    return np.quantile(values, probabilities).tolist() if len(values) else None
