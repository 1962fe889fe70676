"""Copies, near copies and strangers are told apart; sizes and representations are not mistaken for leaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.evaluation.synthetic.privacy import closest_record_share, copied_share, membership_auc


def rows(seed: int, n: int, d: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


MEMBERS, OTHERS = rows(1, 400), rows(2, 400)


def test_rows_of_the_population_are_as_near_to_either_side() -> None:
    synthetic = rows(3, 3000)
    assert closest_record_share(synthetic, MEMBERS, OTHERS) == pytest.approx(0.5, abs=0.04)
    assert membership_auc(synthetic, MEMBERS, OTHERS) == pytest.approx(0.5, abs=0.05)


def test_near_copies_give_the_training_rows_away() -> None:
    synthetic = MEMBERS + 0.01 * rows(4, 400)
    assert closest_record_share(synthetic, MEMBERS, OTHERS) > 0.98
    assert membership_auc(synthetic, MEMBERS, OTHERS) > 0.98


def test_copies_of_held_out_rows_count_the_other_way() -> None:
    assert closest_record_share(OTHERS, MEMBERS, OTHERS) == 0
    assert membership_auc(OTHERS, MEMBERS, OTHERS) == 0


def test_a_tie_counts_half() -> None:
    members, others = np.array([[0.0], [9.0]]), np.array([[4.0], [9.0]])
    # Nearest: a member, either (equally far), either (a copy of both), a held-out row.
    assert closest_record_share(np.array([[0.5], [2.0], [9.0], [4.1]]), members, others) == 0.5
    assert closest_record_share(np.array([[0.5], [2.0]]), members, others) == 0.75


@given(st.integers(0, 20), st.integers(1, 20))
def test_sides_swapped_add_up_to_one(seed: int, n: int) -> None:
    synthetic, first, second = (rows(seed + i, n, 2).round() for i in range(3))
    share = closest_record_share(synthetic, first, second)
    assert share + closest_record_share(synthetic, second, first) == pytest.approx(1)
    area = membership_auc(synthetic, first, second)
    assert area + membership_auc(synthetic, second, first) == pytest.approx(1)


def test_a_copy_agrees_in_every_column_however_its_values_are_written() -> None:
    quiet = np.array([0.0, np.nan, 2.0])
    other_nan = np.frombuffer(np.uint64(0xFFF8000000000001).tobytes(), np.float64)[0]
    train = np.array([quiet, [1.0, 1.0, 1.0]])
    synthetic = np.array(
        [[-0.0, other_nan, 2.0], [1.0, 1.0, 1.0], [1.0, 1.0, np.nextafter(1, 2)], [np.nan, 0.0, 2.0]]
    )
    assert copied_share(synthetic, train) == 0.5
