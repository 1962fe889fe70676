"""The space of rows by hand, and distances in it against brute force."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_tables import SCHEMA, mixed_columns, number_columns

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic import distances as module
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.distances import (
    DistanceSpace,
    nearest_distances,
    neighbour_distances,
    squared_distance_blocks,
)

GRIDS = st.tuples(st.integers(6, 20), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-4, 4).map(float))
)


def brute_distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.sqrt(((queries[:, None] - points[None]) ** 2).sum(2))


def test_numbers_are_in_standard_deviations_of_the_training_rows() -> None:
    space = DistanceSpace.of(number_columns(x=[1, 2, 3, None], y=[5, 5, 5, 5]))
    assert space.mean == pytest.approx([2, 5])
    assert space.deviation == pytest.approx([1, 1])
    # A missing number is at the mean, 1 away by its indicator.
    placed = space.place(number_columns(x=[4, None], y=[5, 7]))
    assert placed == pytest.approx(np.array([[2, 0, 0, 0], [0, 2, 1, 0]]))


@pytest.mark.parametrize(
    ("change", "distance"),
    [
        ({"colour": "red"}, 1),
        ({"colour": None}, 1),
        ({"colour": "violet"}, 1),
        ({"colour": "red", "size": 1}, math.sqrt(2)),
        ({"tags": ["new"]}, math.sqrt(1 / 2)),
        ({"tags": ["new", "sale"]}, 1),
    ],
)
def test_two_categories_are_one_apart_and_two_labels_too(change: dict[str, object], distance: float) -> None:
    train = mixed_columns(100, seed=0)
    row = {"colour": "blue", "size": 2, "tags": [], "price": 1.0, "stock": 1.0, "age": 1.0}
    table = pa.Table.from_pylist([row, row | change])
    first, second = DistanceSpace.of(train).place(Columns.of(table, SCHEMA, train))
    assert np.linalg.norm(first - second) == pytest.approx(distance)


def test_numbers_whose_squares_overflow_have_a_deviation() -> None:
    space = DistanceSpace.of(number_columns(x=[-1e300, 0, 1e300]))
    assert space.deviation == pytest.approx([1e300])


@given(GRIDS, GRIDS)
def test_the_nearest_is_that_of_brute_force(queries: np.ndarray, points: np.ndarray) -> None:
    width = min(queries.shape[1], points.shape[1])
    queries, points = queries[:, :width], points[:, :width]
    assert np.array_equal(nearest_distances(queries, points), brute_distances(queries, points).min(1))


@given(GRIDS, st.integers(1, 5))
def test_the_kth_neighbour_is_that_of_brute_force(points: np.ndarray, k: int) -> None:
    distances = brute_distances(points, points)
    np.fill_diagonal(distances, np.inf)
    assert neighbour_distances(points, k) == pytest.approx(np.sort(distances, axis=1)[:, k - 1])


def test_a_copy_is_at_no_distance_however_far_out() -> None:
    points = np.random.default_rng(0).standard_normal((300, 8))
    points[7] = 1e6
    assert np.array_equal(nearest_distances(points, points), np.zeros(300))
    assert nearest_distances(points[:5] + 0.1, points)[0] == pytest.approx(0.1 * math.sqrt(8))


def test_blocks_make_up_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, points = rng.standard_normal((150, 3)), rng.standard_normal((70, 3))
    monkeypatch.setattr(module, "BLOCK", 64)
    blocks = list(squared_distance_blocks(queries, points))
    assert [(where.start, where.stop) for where, _ in blocks] == [(0, 64), (64, 128), (128, 150)]
    whole = np.concatenate([squared for _, squared in blocks])
    assert np.sqrt(whole) == pytest.approx(brute_distances(queries, points))


def test_a_large_vocabulary_changes_no_distance() -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.standard_normal((400, 2)), np.eye(100)[rng.integers(0, 100, 400)]])
    queries = np.column_stack([rng.standard_normal((50, 2)), np.eye(100)[rng.integers(0, 100, 50)]])
    assert ((points != 0).mean(0) < module.SPARSE).sum() >= module.MANY
    found = np.concatenate([squared for _, squared in squared_distance_blocks(queries, points)])
    assert np.sqrt(found) == pytest.approx(brute_distances(queries, points))


def test_too_few_rows_for_k_neighbours_are_refused() -> None:
    points = np.arange(5.0)[:, None]
    assert neighbour_distances(points, 4).tolist() == [4, 3, 2, 3, 4]
    with pytest.raises(CatalogError, match="found 5 rows, expected at least 6"):
        neighbour_distances(points, 5)
