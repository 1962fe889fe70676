"""Schedules at their corners, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.training.schedules import cyclical_beta, linear_beta, warmup_cosine

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("share", "warmup", "expected"),
    [
        (0.0, 0.3, 0.0),
        (0.15, 0.3, 0.25),
        (0.3, 0.3, 0.5),
        (1.0, 0.3, 0.5),
        (0.0, 0.0, 0.5),  # no warm-up: the whole of beta from the first step
        (0.0, 1.0, 0.0),
        (0.5, 1.0, 0.25),
        (1.0, 1.0, 0.5),
    ],
)
def test_linear_beta(share: float, warmup: float, expected: float) -> None:
    assert linear_beta(share, 0.5, warmup) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("share", "warmup", "expected"),
    [
        (0.0, 0.5, 0.0),
        (0.0625, 0.5, 1.0),  # half way up the first of four rises, each half a cycle long
        (0.125, 0.5, 2.0),
        (0.2, 0.5, 2.0),
        (0.25, 0.5, 0.0),  # the second cycle starts anew
        (0.3125, 0.5, 1.0),
        (0.75, 0.5, 0.0),
        (1.0, 0.5, 2.0),  # the end is the end of a cycle, not the start of a fifth
        (1.0, 1.0, 2.0),
        (0.0, 0.0, 2.0),
    ],
)
def test_cyclical_beta(share: float, warmup: float, expected: float) -> None:
    assert cyclical_beta(share, 2.0, warmup) == pytest.approx(expected, abs=1e-7)


@given(st.floats(1e-3, 0.999), st.floats(0.05, 1), st.integers(1, 7))
def test_cyclical_beta_repeats_the_linear_one(share: float, warmup: float, cycles: int) -> None:
    expected = linear_beta(share, 1.0, warmup)
    for cycle in range(cycles):
        found = cyclical_beta((cycle + share) / cycles, 1.0, warmup, cycles)
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "warmup", "expected"),
    [
        (0.0, 0.2, 0.0),
        (0.1, 0.2, 0.5),
        (0.2, 0.2, 1.0),
        (0.6, 0.2, 0.5),
        (0.2 + 0.8 / 3, 0.2, 0.75),
        (1.0, 0.2, 0.0),
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
        (1.0, 0.0, 0.0),
    ],
)
def test_warmup_cosine(share: float, warmup: float, expected: float) -> None:
    assert warmup_cosine(share, warmup) == pytest.approx(expected, abs=1e-12)


@given(SHARES, st.floats(0, 0.99))
def test_the_learning_rate_factor_stays_between_0_and_1(share: float, warmup: float) -> None:
    assert 0 <= warmup_cosine(share, warmup) <= 1
    assert math.isfinite(linear_beta(share, 1.0, warmup))
