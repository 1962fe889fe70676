"""Neighbours against brute force, agreement of spaces, PCA against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamrec.evaluation import neighbours
from streamrec.evaluation.neighbours import (
    label_overlap,
    nearest,
    neighbour_recall,
    pca,
    purity,
    squared_distances,
    unit_rows,
)

GRIDS = st.tuples(st.integers(4, 12), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-4, 4).map(float))
)


def brute_distances(vectors: np.ndarray) -> np.ndarray:
    exact = vectors.astype(np.float64)
    distances = ((exact[:, None] - exact[None]) ** 2).sum(2)
    np.fill_diagonal(distances, np.inf)
    return distances


@given(GRIDS, st.integers(1, 3))
def test_the_nearest_are_those_of_brute_force(vectors: np.ndarray, k: int) -> None:
    queries = np.arange(len(vectors))[::2]
    found = nearest(vectors, queries, k)
    distances = brute_distances(vectors)[queries]
    # Ties have no order: the distances are compared, not the positions.
    reached = np.take_along_axis(distances, found, 1)
    assert np.array_equal(reached, np.sort(distances, axis=1)[:, :k])
    assert all(len(set(row)) == k for row in found.tolist())
    assert not (found == queries[:, None]).any()


def test_queries_beyond_a_block_are_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)
    queries = np.arange(250)
    other = np.random.default_rng(1).integers(0, 300, (250, 4))
    whole = nearest(vectors, queries, 4)
    recall = neighbour_recall(other, vectors, queries)
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    assert np.array_equal(nearest(vectors, queries, 4), whole)
    assert neighbour_recall(other, vectors, queries) == recall > 0


def test_every_other_item_is_a_neighbour_when_k_is_all_of_them() -> None:
    vectors = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
    found = nearest(vectors, np.arange(6), 5)
    assert [sorted(row) for row in found.tolist()] == [[j for j in range(6) if j != i] for i in range(6)]


def test_squared_distances_are_never_negative() -> None:
    far = (
        np.full((50, 7), 1e3, dtype=np.float32) + np.random.default_rng(0).random((50, 7), np.float32) * 1e-3
    )
    assert squared_distances(far, far).min() >= 0


def test_unit_rows_have_length_one_and_zero_rows_stay_zero() -> None:
    found = unit_rows(np.array([[3, 4], [0, 0], [-1e-6, 0]], dtype=np.float32))
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0], [-1, 0]]))


def test_recall_is_the_share_of_true_neighbours() -> None:
    line = np.array([[0.0], [1], [3], [6], [10]], dtype=np.float32)
    queries = np.array([0, 4])
    # The two nearest: of 0 they are 1 and 2, of 4 they are 3 and 2.
    assert neighbour_recall(np.array([[1, 2], [3, 2]]), line, queries) == 1
    assert neighbour_recall(np.array([[1, 3], [2, 0]]), line, queries) == 0.5
    assert neighbour_recall(np.array([[3, 4], [1, 0]]), line, queries) == 0


@given(GRIDS, st.integers(1, 3))
def test_a_space_agrees_with_itself(vectors: np.ndarray, k: int) -> None:
    queries = np.arange(len(vectors))
    assert neighbour_recall(nearest(vectors, queries, k), vectors, queries) == 1


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(1, 1_000))
def test_of_equal_items_any_is_right_however_long_their_vectors(seed: int, length: float) -> None:
    rng = np.random.default_rng(seed)
    distinct = (rng.standard_normal((8, 40)) * length).astype(np.float32)
    group = np.repeat(np.arange(8), 6)
    queries = np.arange(48)
    # Two of the five twins, drawn at random.
    found = np.array(
        [rng.choice(np.setdiff1d(np.flatnonzero(group == group[q]), q), 2, False) for q in queries]
    )
    assert neighbour_recall(found, distinct[group], queries) == 1
    strangers = (found + 6) % 48
    assert neighbour_recall(strangers, distinct[group], queries) == 0


def test_purity_is_the_share_of_neighbours_with_the_querys_category() -> None:
    codes = np.array([2, 2, 3, 3, 2])
    found = np.array([[1, 4], [2, 3], [0, 3]])
    assert purity(found, codes, np.array([0, 1, 2])) == pytest.approx((2 + 0 + 1) / 6)


def test_label_overlap_is_the_mean_jaccard_index() -> None:
    labels = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.float32)
    assert label_overlap(np.array([[1, 4]]), labels, np.array([0])) == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert label_overlap(np.array([[3, 0]]), labels, np.array([2])) == pytest.approx((1 + 0) / 2)
    assert label_overlap(np.array([[1]]), np.zeros((2, 0), np.float32), np.array([0])) == 1


def test_pca_is_scikit_learns() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((500, 8)) @ rng.standard_normal((8, 8)) + 3).astype(np.float32)
    expected = decomposition.PCA(3).fit(vectors)
    mean, components, projections = pca(vectors, 3)
    assert mean == pytest.approx(expected.mean_, abs=1e-4)
    signs = np.sign((components * expected.components_).sum(1))
    assert components * signs[:, None] == pytest.approx(expected.components_, abs=1e-3)
    assert projections * signs == pytest.approx(expected.transform(vectors), abs=2e-2)
    assert projections.var(0, ddof=1) == pytest.approx(expected.explained_variance_, rel=1e-4)


@pytest.mark.parametrize(("rows", "columns", "dimension"), [(50, 4, 9), (3, 6, 5), (2, 6, 6)])
def test_pca_of_few_rows_or_columns_keeps_everything(rows: int, columns: int, dimension: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    mean, components, projections = pca(vectors, dimension)
    assert components.shape == (min(dimension, columns), columns)
    assert projections @ components + mean == pytest.approx(vectors, abs=1e-5)
