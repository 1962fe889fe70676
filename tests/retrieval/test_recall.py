from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundles import unit

from streamrec.retrieval.index import ItemIndex
from streamrec.retrieval.recall import ExactNeighbours, without_self


def in_batches(vectors: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: iter([vectors[i : i + 700] for i in range(0, len(vectors), 700)])


def build(kind: str, vectors: np.ndarray) -> ItemIndex:
    return ItemIndex.build(kind, in_batches(vectors), len(vectors), vectors.shape[1], 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4_000, 8)).astype(np.float32)


def test_recall_is_the_share_of_the_true_ten_others(vectors: np.ndarray) -> None:
    exact, index = ExactNeighbours.sample(in_batches(vectors), len(vectors), 0), build("ivf", vectors)
    index.nprobe = 3
    cosines = unit(vectors)[exact.positions] @ unit(vectors).T
    cosines[np.arange(len(exact.positions)), exact.positions] = -np.inf
    true = np.argsort(-cosines, axis=1)[:, :10]
    _, found = index.search(exact.queries, 11)
    shares = [
        len(set(found[i][found[i] != own][:10]) & set(true[i])) / 10 for i, own in enumerate(exact.positions)
    ]
    assert 0.1 < np.mean(shares) < 0.9
    assert exact.recall(index) == pytest.approx(np.mean(shares))


def test_the_search_is_widened_until_the_recall_is_reached_and_no_further(vectors: np.ndarray) -> None:
    exact = ExactNeighbours.sample(in_batches(vectors), len(vectors), 0)
    probes = []
    for target in (0.5, 0.9, 0.99, 1.0):
        index = build("ivf", vectors)
        reached = exact.widen(index, target)
        assert reached >= target
        assert reached == exact.recall(index)
        probes.append(index.nprobe)
        if index.nprobe > 1:
            index.nprobe -= 1
            assert exact.recall(index) < target
    assert probes == sorted(probes)
    assert probes[0] < probes[2]


def test_recall_of_other_queries_is_measured_by_inner_product(vectors: np.ndarray) -> None:
    users = 3 * np.random.default_rng(1).normal(size=(300, 8)).astype(np.float32)
    exact = ExactNeighbours.of(users, in_batches(vectors), len(vectors), "inner_product", 0)
    index = ItemIndex.build("ivf", in_batches(vectors), len(vectors), 8, 0, "inner_product")
    index.nprobe = 2
    true = np.argsort(-(users @ vectors.T), axis=1)[:, :10]
    _, found = index.search(users, 10)
    shares = [len(set(found[i]) & set(true[i])) / 10 for i in range(len(users))]
    assert 0.05 < np.mean(shares) < 0.9
    assert exact.recall(index) == pytest.approx(np.mean(shares))
    assert exact.widen(index, 0.99) >= 0.99


def test_other_queries_are_a_seeded_sample(vectors: np.ndarray) -> None:
    samples = [
        ExactNeighbours.of(vectors, in_batches(vectors), len(vectors), "inner_product", seed).queries
        for seed in (0, 0, 1)
    ]
    assert samples[0].shape == (1_000, 8)
    assert np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])


def test_a_flat_index_finds_everything(vectors: np.ndarray) -> None:
    exact = ExactNeighbours.sample(in_batches(vectors), len(vectors), 0)
    assert exact.widen(build("flat", vectors), 1.0) == 1.0


def test_equal_vectors_are_ties_and_no_misses() -> None:
    distinct = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    repeated = np.repeat(distinct, 100, axis=0)
    exact = ExactNeighbours.sample(in_batches(repeated), len(repeated), 0)
    assert exact.recall(build("flat", repeated)) == 1.0
    assert exact.widen(build("ivf", repeated), 1.0) == 1.0


@pytest.mark.parametrize(("rows", "k"), [(1, 0), (2, 1), (10, 9), (11, 10)])
def test_a_small_table_has_fewer_neighbours_than_ten(vectors: np.ndarray, rows: int, k: int) -> None:
    exact = ExactNeighbours.sample(in_batches(vectors[:rows]), rows, 0)
    assert (exact.k, len(exact.positions)) == (k, rows)
    assert exact.recall(build("flat", vectors[:rows])) == 1.0


def test_the_sample_follows_the_seed(vectors: np.ndarray) -> None:
    samples = [
        ExactNeighbours.sample(in_batches(vectors), len(vectors), seed).positions for seed in (0, 0, 1)
    ]
    assert np.array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=5), st.integers(0, 7))
def test_dropping_itself_keeps_the_order_of_the_others(rows: list[list[int]], own: int) -> None:
    positions = np.array(rows)
    scores = -positions.astype(np.float32)
    kept_scores, kept = without_self(scores, positions, np.full(len(rows), own))
    assert kept.tolist() == [[r for r in row if r != own][:5] for row in rows]
    assert np.array_equal(kept_scores, -kept)
