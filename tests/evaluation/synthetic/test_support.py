"""Precision, recall, density and coverage by hand, by brute force and by their expectations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_tables import mixed_columns

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.distances import DistanceSpace, neighbour_distances
from streamrec.evaluation.synthetic.support import Support, support

GRIDS = st.integers(6, 20).flatmap(
    lambda rows: arrays(np.float64, (rows, 2), elements=st.integers(-3, 3).map(float))
)


def brute_support(real: np.ndarray, synthetic: np.ndarray, k: int) -> Support:
    """The definitions, on whole matrices of exact distances."""

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b[None]) ** 2).sum(2)

    real_radii = np.sort(distances(real, real), axis=1)[:, k]
    synthetic_radii = np.sort(distances(synthetic, synthetic), axis=1)[:, k]
    between = distances(real, synthetic)
    inside = between < real_radii[:, None]
    return Support(
        precision=inside.any(0).mean(),
        recall=(between < synthetic_radii).any(1).mean(),
        density=inside.sum(0).mean() / k,
        coverage=inside.any(1).mean(),
    )


@given(GRIDS, GRIDS, st.integers(1, 5))
def test_figures_are_those_of_the_definitions(real: np.ndarray, synthetic: np.ndarray, k: int) -> None:
    found = support(real, synthetic, k)
    assert found.to_dict() == pytest.approx(brute_support(real, synthetic, k).to_dict())


def test_rows_on_a_line() -> None:
    real = np.array([[0.0], [1], [3]])
    # Radii of the real rows 1, 1, 2, of the synthetic 0.25, 0.25, 9.5.
    found = support(real, np.array([[0.25], [0.5], [10]]), k=1)
    assert found == Support(precision=2 / 3, recall=2 / 3, density=(2 + 2) / 3, coverage=2 / 3)


def test_shrinking_loses_recall_and_scattering_loses_precision() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 2))
    shrunk = support(real, rng.standard_normal((400, 2)) * 0.3)
    scattered = support(real, rng.standard_normal((400, 2)) * 3)
    assert shrunk.precision > 0.95
    assert shrunk.recall < 0.5
    assert scattered.precision < 0.6
    assert scattered.recall > 0.95


def test_far_rows_support_nothing() -> None:
    real = np.random.default_rng(0).random((50, 3))
    assert support(real, real + 100) == Support(0, 0, 0, 0)


@pytest.mark.parametrize(("rows", "synthetic"), [(800, 800), (800, 200), (300, 900)])
def test_coverage_and_density_of_rows_of_one_distribution_are_as_expected(rows: int, synthetic: int) -> None:
    k = 5
    expected = 1 - math.prod((rows - 1 - i) / (rows - 1 + synthetic - i) for i in range(k))
    rng = np.random.default_rng(0)
    found = support(rng.standard_normal((rows, 3)), rng.standard_normal((synthetic, 3)), k)
    # The k nearest others are all real with that chance, whatever the distribution.
    assert found.coverage == pytest.approx(expected, abs=0.05)
    assert found.density == pytest.approx(1, abs=0.1)


def test_radii_found_before_change_nothing() -> None:
    train = mixed_columns(200, seed=0)
    space = DistanceSpace.of(train)
    real, synthetic = space.place(train), space.place(mixed_columns(150, 1, train))
    assert support(real, synthetic, real_radii=neighbour_distances(real, 5)) == support(real, synthetic)


@pytest.mark.parametrize(("rows", "synthetic"), [(5, 6), (6, 5)])
def test_too_few_rows_are_refused(rows: int, synthetic: int) -> None:
    with pytest.raises(CatalogError, match="at least 6"):
        support(np.eye(rows, 3), np.eye(synthetic, 3))
