"""What synthetic rows teach: trees grown on them are tested on real rows (train-synthetic-test-real).

Esteban, Hyland and Rätsch, "Real-valued (medical) time series generation" (2017).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score

Features = NDArray[np.float64]


def category_auc(
    features: Features,
    classes: NDArray[np.int64],
    test_features: Features,
    test_classes: NDArray[np.int64],
    seed: int,
) -> float:
    """Macro mean over the test rows' classes of the one-vs-rest area under the ROC curve.

    A class that the trees never saw scores 0.5. NaN where the test rows have a single class.

    Args:
        features, classes: rows (n, d) and (n,) to learn from; missing cells NaN.
        test_features, test_classes: real rows (m, d) and (m,).
        seed: of the trees.
    """
    present = np.unique(test_classes)
    if len(present) < 2:
        return float("nan")
    known = np.unique(classes)
    if len(known) < 2:
        return 0.5
    model = HistGradientBoostingClassifier(random_state=seed).fit(features, classes)
    scores = dict(zip(model.classes_, model.predict_proba(test_features).T, strict=True))
    areas = [roc_auc_score(test_classes == c, scores[c]) if c in scores else 0.5 for c in present]
    return float(np.mean(areas))


def number_scores(
    features: Features,
    numbers: NDArray[np.float64],
    test_features: Features,
    test_numbers: NDArray[np.float64],
    seed: int,
) -> tuple[float, float]:
    """R2 and Spearman's rank correlation of a number predicted for the test rows.

    Rows whose target is missing are left out. R2 falls below 0 where the test rows' own mean would have
    predicted them better. Both are NaN where fewer than two rows are left on a side or the test numbers are
    all equal; the rank correlation is 0 where every prediction is the same.

    Args:
        features, numbers: rows (n, d) and (n,) to learn from; missing cells NaN.
        test_features, test_numbers: real rows (m, d) and (m,).
        seed: of the trees.
    """
    given, asked = np.isfinite(numbers), np.isfinite(test_numbers)
    truth = test_numbers[asked]
    if given.sum() < 2 or len(truth) < 2 or np.ptp(truth) == 0:
        return float("nan"), float("nan")
    model = HistGradientBoostingRegressor(random_state=seed).fit(features[given], numbers[given])
    found = model.predict(test_features[asked])
    r2 = 1 - ((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    return float(r2), _rank_correlation(truth, found)


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks (n,) from 1; equal values share their mean rank."""
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[position]
