"""The monotone maps of numeric columns, and which values are atoms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamrec.catalog.scaling import (
    KNOTS,
    LARGEST,
    Floats,
    Scaler,
    find_atoms,
    fit_quantile,
    fit_standard,
    is_near_normal,
)

NO_ATOMS = np.array([])
any_numbers = arrays(
    np.float64,
    st.integers(1, 200),
    elements=st.one_of(
        st.floats(-LARGEST, LARGEST),
        st.floats(-10, 10),
        st.integers(-3, 3).map(float),
        st.floats(-1e-300, 1e-300),
    ),
)


def tally(rows: Floats) -> tuple[Floats, np.ndarray]:
    values, counts = np.unique(rows, return_counts=True)
    return values, counts


def fit(method: str, rows: Floats, atoms: Floats = NO_ATOMS) -> Scaler:
    values, counts = tally(rows)
    return fit_standard(values, counts) if method == "standard" else fit_quantile(values, counts, atoms)


def zero_inflated(rows: int) -> Floats:
    rng = np.random.default_rng(1)
    return rng.lognormal(size=rows) * (rng.random(rows) > 0.4)


@pytest.mark.parametrize("method", ["standard", "quantile"])
@pytest.mark.parametrize("rows", [zero_inflated(300), zero_inflated(20_000)], ids=["exact", "knots"])
def test_training_rows_have_mean_zero_and_variance_one_with_their_atoms(method: str, rows: Floats) -> None:
    scores = fit(method, rows, np.array([0.0])).scale(rows).astype(np.float64)
    assert scores.mean() == pytest.approx(0, abs=1e-5)
    assert scores.var() == pytest.approx(1, abs=1e-5)


def test_standard_is_the_affine_map_of_the_sample_moments() -> None:
    rows = np.random.default_rng(0).normal(5, 3, 1_000)
    assert fit("standard", rows).scale(rows) == pytest.approx((rows - rows.mean()) / rows.std(), abs=1e-5)


def test_quantile_gives_the_normal_scores_of_the_mid_ranks() -> None:
    # Ranks 1/4 and 3/4: scores -0.674 and 0.674, which standardise to -1 and 1.
    scaler = fit("quantile", np.array([3.0, 3.0, 900.0, 900.0]))
    assert scaler.scale(np.array([3.0, 900.0, 451.5])) == pytest.approx([-1, 1, 0])
    # Ranks 1/6, 1/2, 5/6: the middle is 0 by symmetry, whatever the distances.
    assert fit("quantile", np.array([1.0, 2.0, 1e9])).scale(np.array([2.0]))[0] == pytest.approx(0, abs=1e-7)


def test_quantile_makes_a_heavy_tailed_column_normal() -> None:
    rng = np.random.default_rng(0)
    scaler = fit("quantile", rng.standard_cauchy(50_000))
    scores = np.sort(scaler.scale(rng.standard_cauchy(50_000)))
    normal = np.sort(rng.normal(size=50_000))
    middle = slice(50, -50)
    assert np.abs(scores[middle] - normal[middle]).max() < 0.3
    assert np.abs(scores - normal)[5_000:-5_000].max() < 0.05


@pytest.mark.parametrize("side", [1, -1], ids=["above", "below"])
def test_jump_at_an_atom_is_not_smeared_over_the_values_beside_it(side: int) -> None:
    rows = zero_inflated(20_000)
    beside = side * np.sort(rows[rows > 0])[[0, 20]]
    scaler = fit("quantile", side * rows, np.array([0.0]))
    atom, first, later = scaler.scale(np.array([0.0, *beside]))
    assert abs(first - atom) > 50 * abs(later - first)


@pytest.mark.parametrize("method", ["standard", "quantile"])
@given(rows=any_numbers, others=any_numbers)
def test_scaling_is_monotone_and_finite(method: str, rows: Floats, others: Floats) -> None:
    scaler = fit(method, rows)
    scores = scaler.scale(np.sort(np.concatenate([rows, others])))
    assert np.isfinite(scores).all()
    assert (np.diff(scores.astype(np.float64)) >= -1e-12).all()
    assert np.abs(scores).max() <= np.sqrt(len(rows)) + 1e-3


@pytest.mark.parametrize("method", ["standard", "quantile"])
@given(
    rows=any_numbers,
    scores=arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
)
def test_any_score_has_a_value_in_the_training_range(method: str, rows: Floats, scores: np.ndarray) -> None:
    values = fit(method, rows).unscale(scores)
    assert (values >= rows.min()).all()
    assert (values <= rows.max()).all()


def test_rounding_does_not_carry_a_value_past_the_training_range() -> None:
    scaler = fit("standard", np.array([-3.8, 0.4]))
    score = np.nextafter(scaler.scores[1:], 0)
    assert np.interp(score, scaler.scores, scaler.values)[0] > 0.4
    assert scaler.unscale(score)[0] == 0.4


@given(rows=arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6).map(lambda x: round(x, 3))))
def test_values_at_knots_come_back_exactly(rows: Floats) -> None:
    scaler = fit("quantile", rows)
    assert (scaler.unscale(scaler.scale(rows)) == rows).all()


def test_values_between_knots_come_back_within_a_small_part_of_their_distance() -> None:
    rows = np.random.default_rng(2).lognormal(0, 3, 50_000)
    scaler = fit("quantile", rows)
    assert len(scaler.values) <= KNOTS + 2
    after = np.clip(np.searchsorted(scaler.values, rows), 1, len(scaler.values) - 1)
    gap = scaler.values[after] - scaler.values[after - 1]
    assert (np.abs(scaler.unscale(scaler.scale(rows)) - rows) / gap).max() < 1e-3


@pytest.mark.parametrize("method", ["standard", "quantile"])
def test_value_outside_the_training_range_is_scaled_as_the_nearest_in_it(method: str) -> None:
    rows = np.random.default_rng(3).normal(size=5_000)
    ends = np.array([rows.min(), rows.max()])
    scaler = fit(method, rows)
    assert (scaler.scale(np.array([-1e300, 1e300])) == scaler.scale(ends)).all()
    assert (scaler.unscale(np.array([-np.inf, np.inf])) == ends).all()


@pytest.mark.parametrize("method", ["standard", "quantile"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 1e-310])
def test_constant_is_score_zero(method: str, value: float) -> None:
    scaler = fit(method, np.full(7, value))
    assert scaler.scale(np.array([value, 5.0])).tolist() == [0, 0]
    assert scaler.unscale(np.array([0.0, 3.0])).tolist() == [value, value]


@pytest.mark.parametrize("method", ["standard", "quantile"])
def test_log_derivative_is_the_slope_of_the_map(method: str) -> None:
    rows = np.random.default_rng(4).gamma(2, size=500)
    scaler = fit(method, rows)
    middle = (scaler.values[:-1] + scaler.values[1:]) / 2
    step = np.diff(scaler.values).min() / 4
    map_in_float64 = np.interp([middle - step, middle + step], scaler.values, scaler.scores)
    slope = (map_in_float64[1] - map_in_float64[0]) / (2 * step)
    assert np.exp(scaler.log_derivative(middle)) == pytest.approx(slope, rel=1e-4)


def independent_column(rng: np.random.Generator) -> Floats:
    group = rng.integers(0, 20, 5_000)
    return rng.normal(rng.uniform(-1, 1, 20)[group], rng.uniform(0.3, 1, 20)[group])


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (independent_column, True),
        (lambda rng: rng.normal(1e9, 1, 5_000), True),
        (lambda rng: np.rint(rng.normal(1900, 30, 5_000)), True),
        (lambda rng: rng.random(5_000), False),
        (lambda rng: rng.lognormal(size=5_000), False),
        (lambda rng: rng.laplace(size=5_000), False),
        (lambda rng: rng.standard_cauchy(5_000), False),
        (lambda rng: rng.beta(0.5, 0.5, 5_000), False),
    ],
    ids=["mixture", "normal", "whole", "uniform", "lognormal", "laplace", "cauchy", "bounded"],
)
def test_near_normal_columns_are_told_from_others(draw, expected: bool) -> None:
    rng = np.random.default_rng(5)
    found = [is_near_normal(*tally(draw(rng))) for _ in range(20)]
    assert found == [expected] * 20


def atoms_of(rows: Floats, share: float = 0.02, most: int = 4) -> list[float]:
    return find_atoms(*tally(rows), share, most).tolist()


def test_zeros_and_a_cap_are_atoms_of_a_continuous_column() -> None:
    rng = np.random.default_rng(6)
    rows = np.minimum(rng.lognormal(size=5_000), 4.0) * (rng.random(5_000) > 0.5)
    assert atoms_of(rows) == [0.0, 4.0]


def test_two_sentinels_side_by_side_are_both_atoms() -> None:
    rng = np.random.default_rng(7)
    rows = np.concatenate([np.full(300, -1.0), np.zeros(300), rng.lognormal(size=400)])
    assert atoms_of(rows) == [-1.0, 0.0]


def test_zeros_of_a_zero_inflated_count_are_its_only_atom() -> None:
    rng = np.random.default_rng(8)
    assert atoms_of(rng.poisson(20, 5_000) * (rng.random(5_000) > 0.4)) == [0]


@pytest.mark.parametrize(
    "rows",
    [
        np.random.default_rng(9).normal(size=5_000),
        np.random.default_rng(9).normal(size=10),
        np.repeat(np.arange(7.0), 100),
        np.random.default_rng(9).poisson(5, 5_000).astype(float),
        np.round(np.random.default_rng(9).random(5_000), 1),
    ],
    ids=["continuous", "few rows", "weekday", "poisson", "one decimal"],
)
def test_columns_where_no_value_stands_out_have_no_atoms(rows: Floats) -> None:
    assert atoms_of(rows) == []


def test_column_of_few_distinct_values_is_all_atoms_however_rare_one_is() -> None:
    rows = np.concatenate([np.zeros(990), np.ones(9), [2.0]])
    assert atoms_of(rows) == [0, 1, 2]
    assert atoms_of(rows, most=0) == []


def test_most_frequent_atoms_are_kept_then_the_smallest() -> None:
    ordinary = np.random.default_rng(10).normal(size=400)
    repeated = [np.full(count, value) for value, count in [(5.0, 80), (-5.0, 60), (7.0, 60), (9.0, 60)]]
    assert atoms_of(np.concatenate([ordinary, *repeated]), most=2) == [-5.0, 5.0]
    assert atoms_of(np.concatenate([ordinary, *repeated]), share=0.11) == [5.0]
