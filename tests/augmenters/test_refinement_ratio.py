from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.stats import ks_2samp, norm

from streamrec.augmenters.refinement.ratio import DensityRatio, effective_rows, thin
from streamrec.errors import BundleError, SamplingError

Floats = NDArray[np.float32]


def real(n: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)


def synthetic(n: int, seed: int) -> Floats:
    """Too wide and shifted in the first feature, as real in the two others."""
    rows = real(n, seed)
    rows[:, 0] = 0.4 + 1.3 * rows[:, 0]
    return rows


def true_log_ratio(rows: Floats) -> NDArray[np.float64]:
    return norm.logpdf(rows[:, 0]) - norm.logpdf(rows[:, 0], 0.4, 1.3)


@pytest.fixture(scope="module")
def ratio() -> DensityRatio:
    return DensityRatio.fit(real(6000, 0), synthetic(12_000, 1), 1, 0)


def test_the_ratio_of_two_gaussians_is_their_closed_form(ratio: DensityRatio) -> None:
    rows = synthetic(4000, 2)
    found, expected = ratio.log_ratio(rows), true_log_ratio(rows)
    middle = np.abs(rows[:, 0]) < 2
    difference = (found - expected)[middle]
    slope, _ = np.polyfit(expected[middle], found[middle], 1)
    assert abs(slope - 1) < 0.25
    assert np.std(difference) < 0.85 * np.std(expected[middle])


def test_thinning_turns_one_gaussian_into_the_other(ratio: DensityRatio) -> None:
    candidates = synthetic(16_000, 3)
    before = ks_2samp(candidates[:4000, 0], norm.rvs(size=100_000, random_state=0)).statistic
    kept = candidates[thin(ratio.log_ratio(candidates), 4000, 0)]
    after = ks_2samp(kept[:, 0], norm.rvs(size=100_000, random_state=0)).statistic
    assert before > 0.15
    assert after < 0.04
    assert abs(kept[:, 0].mean()) < 0.07
    assert abs(kept[:, 0].std() - 1) < 0.06
    assert abs(kept[:, 1].mean()) < 0.05


def test_a_ratio_holds_for_rows_of_one_class() -> None:
    rng = np.random.default_rng(0)
    code_real, code = rng.integers(0, 2, 4000), rng.integers(0, 2, 12_000)
    # The classes are wrong in opposite directions.
    sides = [
        np.column_stack([rng.standard_normal(len(c)) + shift * (2 * c - 1), c]).astype(np.float32)
        for c, shift in [(code_real, 0.0), (code, 0.5)]
    ]
    fitted = DensityRatio.fit(*sides, 1, 0)
    for of, mean in [(0, -0.5), (1, 0.5)]:
        candidates = np.column_stack([rng.standard_normal(8000) + mean, np.full(8000, of)]).astype(np.float32)
        kept = candidates[thin(fitted.log_ratio(candidates), 2000, 0)]
        assert abs(kept[:, 0].mean()) < 0.12


def test_equal_distributions_leave_nearly_all_rows_effective() -> None:
    fitted = DensityRatio.fit(real(4000, 0), real(12_000, 1), 1, 0)
    assert effective_rows(fitted.log_ratio(real(4000, 2))) > 0.9 * 4000


def test_a_ratio_that_is_known_leaves_little_to_find() -> None:
    other = synthetic(12_000, 1)
    rest = DensityRatio.fit(real(4000, 0), other, 1, 0, true_log_ratio(other))
    rows = synthetic(4000, 2)
    assert np.std(rest.log_ratio(rows)) < 0.5 * np.std(true_log_ratio(rows))


def test_a_ratio_comes_back_from_a_file(ratio: DensityRatio, tmp_path: Path) -> None:
    save_file(ratio.to_arrays(), tmp_path / "ratio.safetensors")
    read = DensityRatio.from_arrays(load_file(tmp_path / "ratio.safetensors"))
    rows = synthetic(500, 4)
    assert np.array_equal(read.log_ratio(rows), ratio.log_ratio(rows))
    with pytest.raises(BundleError, match="roots"):
        DensityRatio.from_arrays({})


def test_the_same_seed_gives_the_same_ratio() -> None:
    first, again, other = (
        DensityRatio.fit(real(200, 0), synthetic(400, 1), 1, seed).to_arrays() for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert first["value"].tobytes() != other["value"].tobytes()


def test_no_rounds_find_no_ratio() -> None:
    fitted = DensityRatio.fit(real(20, 0), synthetic(20, 1), 0, 0)
    assert fitted.log_ratio(real(5, 2)).tolist() == [0] * 5


def test_a_ratio_needs_rows_of_both_kinds() -> None:
    with pytest.raises(SamplingError, match="found 20 real and 1 synthetic"):
        DensityRatio.fit(real(20, 0), real(1, 0), 1, 0)


@settings(deadline=None)
@given(
    st.lists(st.floats(-700, 700), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(0, 1000),
)
def test_as_many_distinct_rows_as_asked_are_kept(log_ratio: list[float], n: int, seed: int) -> None:
    n = min(n, len(log_ratio))
    kept = thin(np.array(log_ratio), n, seed)
    assert len(kept) == n
    assert (np.diff(kept) > 0).all()
    assert not n or (kept[0] >= 0 and kept[-1] < len(log_ratio))


def test_rows_are_kept_in_proportion_to_their_ratios() -> None:
    weights = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 100.0])
    draws = np.array([np.isin(np.arange(6), thin(np.log(weights), 3, seed)) for seed in range(4000)])
    # The last is certain; two of the others are kept, and the fifth of them is just certain too.
    np.testing.assert_allclose(draws.mean(0), [0.1, 0.2, 0.3, 0.4, 1.0, 1.0], atol=0.03)


def test_thinning_is_repeated_by_its_seed_and_keeps_all_of_few() -> None:
    log_ratio = np.random.default_rng(0).standard_normal(100)
    assert np.array_equal(thin(log_ratio, 30, 5), thin(log_ratio, 30, 5))
    assert not np.array_equal(thin(log_ratio, 30, 5), thin(log_ratio, 30, 6))
    assert thin(log_ratio, 100, 0).tolist() == list(range(100))
    assert thin(log_ratio[:0], 0, 0).tolist() == []
    with pytest.raises(SamplingError, match="found 100 candidates for 101 rows"):
        thin(log_ratio, 101, 0)


def test_effective_rows_count_equal_weights_fully() -> None:
    assert effective_rows(np.full(7, -900.0)) == pytest.approx(7)
    assert effective_rows(np.array([0.0, -1000.0, -1000.0])) == pytest.approx(1)
    assert effective_rows(np.log([1.0, 3.0])) == pytest.approx(16 / 10)
    assert effective_rows(np.empty(0)) == 0
