"""A classifier finds what is there to find between real and synthetic rows, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.evaluation.synthetic.detection import detection_auc

REAL = np.random.default_rng(0).normal(size=(1200, 3))


def test_rows_of_the_same_source_are_not_told_apart() -> None:
    rng = np.random.default_rng(1)
    assert detection_auc(REAL, rng.normal(size=(1200, 3)), seed=0) == pytest.approx(0.5, abs=0.05)


def test_a_tie_between_columns_gives_rows_away_that_agree_in_every_marginal() -> None:
    rng = np.random.default_rng(2)
    tied = np.column_stack([REAL[:, 0], REAL[:, 0]])
    shuffled = np.column_stack([REAL[:, 0], rng.permutation(REAL[:, 0])])
    assert detection_auc(tied, shuffled, seed=0) > 0.95


def test_a_number_that_should_be_whole_gives_rows_away_as_far_as_bins_reach() -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 4, size=(800, 1)).astype(float)
    assert detection_auc(whole, whole + rng.uniform(-0.4, 0.4, whole.shape), seed=0) > 0.95


def test_a_missing_cell_is_a_value_like_any_other() -> None:
    rng = np.random.default_rng(4)
    gaps = np.where(rng.random((1200, 1)) < 0.5, np.nan, rng.normal(size=(1200, 1)))
    # Half of the real rows are given away: an area of 1/2 for the others makes 3/4.
    assert detection_auc(gaps, REAL[:, :1], seed=0) == pytest.approx(0.75, abs=0.05)


def test_a_shift_is_found_as_far_as_the_best_rule_can() -> None:
    rng = np.random.default_rng(5)
    # Optimal AUC between N(0, 1) and N(1, 1) is Phi(1 / sqrt 2) = 0.760.
    shifted = rng.normal(1, 1, size=(1200, 1))
    assert detection_auc(REAL[:, :1], shifted, seed=0) == pytest.approx(0.76, abs=0.04)


def test_as_many_of_each_are_compared_drawn_from_the_whole_of_the_larger() -> None:
    rng = np.random.default_rng(6)
    # The first rows of the larger table differ from the others: only those would be found out.
    ordered = np.sort(REAL[:, :1], axis=0)
    assert detection_auc(ordered, rng.normal(size=(300, 1)), seed=0) == pytest.approx(0.5, abs=0.08)


def test_seeds_decide_everything() -> None:
    rng = np.random.default_rng(7)
    other = rng.normal(0.3, 1, size=(300, 3))
    first = detection_auc(REAL, other, seed=1)
    assert detection_auc(REAL, other, seed=1) == first
    assert detection_auc(REAL, other, seed=2) != first
