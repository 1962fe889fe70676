"""What rows teach is measured on others, by class and by number, whatever the rows lack."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score

from streamrec.evaluation.synthetic.utility import category_auc, number_scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(900, 3))
CLASSES = np.digitize(X[:, 0] + 0.5 * RNG.normal(size=900), [-0.7, 0.7])
NUMBERS = X[:, 0] + X[:, 1] ** 2 + 0.3 * RNG.normal(size=900)
TRAIN, TEST = slice(0, 600), slice(600, 900)


def test_category_score_is_the_macro_one_vs_rest_area() -> None:
    model = HistGradientBoostingClassifier(random_state=3).fit(X[TRAIN], CLASSES[TRAIN])
    expected = roc_auc_score(CLASSES[TEST], model.predict_proba(X[TEST]), multi_class="ovr", average="macro")
    assert category_auc(X[TRAIN], CLASSES[TRAIN], X[TEST], CLASSES[TEST], seed=3) == pytest.approx(expected)


def test_rows_without_the_dependence_teach_nothing() -> None:
    rng = np.random.default_rng(8)
    useless = rng.permutation(CLASSES[TRAIN])
    found = category_auc(X[TRAIN], useless, X[TEST], CLASSES[TEST], seed=0)
    assert found == pytest.approx(0.5, abs=0.08)


def test_a_class_that_was_never_made_scores_one_half() -> None:
    kept = CLASSES[TRAIN] != 2
    features, classes = X[TRAIN][kept], CLASSES[TRAIN][kept]
    model = HistGradientBoostingClassifier(random_state=0).fit(features, classes)
    shares = model.predict_proba(X[TEST])
    areas = [roc_auc_score(CLASSES[TEST] == c, shares[:, c]) for c in (0, 1)]
    found = category_auc(features, classes, X[TEST], CLASSES[TEST], seed=0)
    assert found == pytest.approx((sum(areas) + 0.5) / 3)


def test_rows_of_one_class_teach_nothing_and_cannot_be_asked() -> None:
    one = np.zeros(600, dtype=int)
    assert category_auc(X[TRAIN], one, X[TEST], CLASSES[TEST], seed=0) == 0.5
    assert np.isnan(category_auc(X[TRAIN], CLASSES[TRAIN], X[TEST], one[:300], seed=0))


def test_number_scores_are_those_of_the_field() -> None:
    predicted = HistGradientBoostingRegressor(random_state=0).fit(X[TRAIN], NUMBERS[TRAIN]).predict(X[TEST])
    r2, rank = number_scores(X[TRAIN], NUMBERS[TRAIN], X[TEST], NUMBERS[TEST], seed=0)
    assert r2 == pytest.approx(r2_score(NUMBERS[TEST], predicted))
    assert rank == pytest.approx(spearmanr(NUMBERS[TEST], predicted).statistic)
    assert r2 > 0.8


def test_equal_numbers_share_their_rank() -> None:
    coarse = np.round(NUMBERS)
    test = np.round(NUMBERS[TEST])
    predicted = HistGradientBoostingRegressor(random_state=0).fit(X[TRAIN], coarse[TRAIN]).predict(X[TEST])
    _, rank = number_scores(X[TRAIN], coarse[TRAIN], X[TEST], test, seed=0)
    assert rank == pytest.approx(spearmanr(test, predicted).statistic)


def test_rows_whose_number_is_missing_are_left_out() -> None:
    rng = np.random.default_rng(9)
    gone = rng.random(900) < 0.3
    holed = np.where(gone, np.nan, NUMBERS)
    found = number_scores(X[TRAIN], holed[TRAIN], X[TEST], holed[TEST], seed=0)
    kept, asked = ~gone[TRAIN], ~gone[TEST]
    assert found == number_scores(
        X[TRAIN][kept], NUMBERS[TRAIN][kept], X[TEST][asked], NUMBERS[TEST][asked], seed=0
    )


def test_a_constant_number_predicts_nothing_and_cannot_be_asked() -> None:
    flat = np.full(600, 2.0)
    r2, rank = number_scores(X[TRAIN], flat, X[TEST], NUMBERS[TEST], seed=0)
    assert r2 < 0
    assert rank == 0
    assert np.isnan(number_scores(X[TRAIN], NUMBERS[TRAIN], X[TEST], flat[:300], seed=0)).all()
