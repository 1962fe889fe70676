"""Tables of weighted rows match those of real ones."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.augmenters.refinement.moments import MomentRatio

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(n: int, seed: int, share: float, slope: float, gaps: float = 0.0) -> Rows:
    """A category of two classes, a number that depends on it by `slope`, and one that may be missing."""
    rng = np.random.default_rng(seed)
    codes = (rng.random(n) < share).astype(np.int64)[:, None]
    numbers = rng.normal(size=(n, 2)).astype(np.float32)
    numbers[:, 0] += np.float32(slope) * codes[:, 0]
    missing = np.column_stack([np.zeros(n, bool), rng.random(n) < gaps])
    return numbers, missing, codes


def weights(ratio: MomentRatio, drawn: Rows) -> np.ndarray:
    found = np.exp(ratio.log_ratio(*drawn))
    return found / found.sum()


def test_shares_of_classes_missing_cells_and_means_by_class_become_the_real_ones() -> None:
    real, drawn = rows(6_000, 0, 0.3, 0.6, 0.2), rows(20_000, 1, 0.4, 0.3, 0.1)
    ratio = MomentRatio.fit(real, drawn, [2])
    fresh = rows(40_000, 2, 0.4, 0.3, 0.1)
    weight = weights(ratio, fresh)
    second = fresh[2][:, 0] == 1
    assert weight @ second == pytest.approx(real[2].mean(), abs=0.01)
    assert weight @ fresh[1][:, 1] == pytest.approx(real[1][:, 1].mean(), abs=0.01)
    for code in (0, 1):
        inside = weight * (fresh[2][:, 0] == code)
        expected = real[0][real[2][:, 0] == code, 0].mean()
        assert inside @ fresh[0][:, 0] / inside.sum() == pytest.approx(expected, abs=0.06)


def test_rows_that_are_real_already_are_weighted_alike() -> None:
    ratio = MomentRatio.fit(rows(6_000, 3, 0.3, 1.0), rows(12_000, 4, 0.3, 1.0), [2])
    weight = weights(ratio, rows(5_000, 5, 0.3, 1.0))
    assert 1 / (weight**2).sum() > 0.97 * 5_000


def test_few_real_rows_move_little() -> None:
    drawn = rows(4_000, 9, 0.5, 0.0)
    few = MomentRatio.fit(rows(20, 10, 0.9, 0.0), drawn, [2])
    many = MomentRatio.fit(rows(4_000, 10, 0.9, 0.0), drawn, [2])
    ones = drawn[2][:, 0] == 1
    moved = [float(weights(ratio, drawn) @ ones) for ratio in (few, many)]
    assert 0.5 < moved[0] < 0.75 < moved[1] < 0.92


def test_arrays_restore_an_equal_ratio() -> None:
    ratio = MomentRatio.fit(rows(500, 11, 0.3, 1.0, 0.3), rows(900, 12, 0.4, 0.0), [2])
    fresh = rows(50, 13, 0.5, 0.0, 0.5)
    again = MomentRatio.from_arrays(ratio.to_arrays())
    assert np.array_equal(again.log_ratio(*fresh), ratio.log_ratio(*fresh))
