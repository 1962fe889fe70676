"""Whether a classifier tells synthetic rows from real ones: the two-sample test by boosted trees.

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017). Trees look at raw values, so they find
what distances miss: exact zeros, integers, hard bounds and ties between columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

FOLDS = 3
"""Parts of the rows; each is judged by trees that were grown on the others."""


def detection_auc(real: NDArray[np.float64], synthetic: NDArray[np.float64], seed: int) -> float:
    """Area under the ROC curve of real against synthetic rows, judged across folds: 0.5 is ideal, 1 is told
    apart without fail.

    As many rows of each are compared as the smaller has, drawn by seed from the larger. Below 0.5 comes of
    rows that appear twice: a copy in another fold speaks for the wrong side.

    Args:
        real: rows (n, d) in raw values, categories as numbers, missing cells NaN.
        synthetic: rows (m, d) of the same columns.
        seed: of the draw, the folds and the trees.
    """
    rows = min(len(real), len(synthetic))
    rng = np.random.default_rng([seed, 0])
    features = np.concatenate([_drawn(real, rows, rng), _drawn(synthetic, rows, rng)])
    is_synthetic = np.repeat([0, 1], rows)
    scores = cross_val_predict(
        HistGradientBoostingClassifier(random_state=seed),
        features,
        is_synthetic,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        method="predict_proba",
    )[:, 1]
    return float(roc_auc_score(is_synthetic, scores))


def _drawn(rows: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rows if len(rows) == count else rows[np.sort(rng.choice(len(rows), count, replace=False))]
