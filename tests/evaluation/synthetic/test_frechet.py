"""Fréchet distances against closed forms and SciPy's matrix root."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.frechet import frechet_distance


def with_moments(mean: np.ndarray, covariance: np.ndarray, rows: int = 50) -> np.ndarray:
    """Vectors (rows, d) with exactly these moments."""
    free = np.random.default_rng(0).standard_normal((rows, len(mean)))
    white = np.linalg.solve(np.linalg.cholesky(np.cov(free.T)), (free - free.mean(0)).T)
    return (np.linalg.cholesky(covariance) @ white).T + mean


def test_independent_coordinates_add_squared_differences_of_means_and_deviations() -> None:
    first = with_moments(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 4.0, 9.0]))
    second = with_moments(np.array([1.0, 0.0, 0.0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(first, second) == pytest.approx(4 + 9 + 1 + 0 + 4)


@given(st.integers(0, 1000))
def test_the_distance_is_that_of_the_matrix_root(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4))
    second = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 4)) + 1
    covariances = np.cov(first.T), np.cov(second.T)
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root).real
    assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(second, first) == pytest.approx(expected, abs=1e-6)


def test_the_same_vectors_are_at_no_distance_and_shifted_ones_at_the_shift_squared() -> None:
    vectors = np.random.default_rng(0).standard_normal((100, 6))
    assert frechet_distance(vectors, vectors[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(vectors, vectors + 2) == pytest.approx(6 * 4)


def test_fewer_vectors_than_coordinates_and_constant_coordinates_are_no_trouble() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 40))
    vectors[:, 0] = 3
    assert frechet_distance(vectors, vectors) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(vectors[:, :1], vectors[:, :1] + 1) == 1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.zeros((5, 2)), np.zeros((5, 3)), r"\(5, 3\)"),
        (np.zeros((1, 2)), np.zeros((5, 2)), "at least two"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), "not finite"),
    ],
)
def test_vectors_without_moments_are_refused(first: np.ndarray, second: np.ndarray, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        frechet_distance(first, second)
