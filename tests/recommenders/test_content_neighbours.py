from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.interactions.table import Interactions
from streamrec.recommenders.content_knn import content_knn, nearest_known
from streamrec.recommenders.profile import profile


def history(pairs: list[tuple[int, int]], users: int, items: int) -> Interactions:
    u, i = np.array(pairs, np.int64).T
    times, weights = np.zeros(len(u), np.int64), np.ones(len(u), np.float32)
    return Interactions(u, i, times, weights, pa.array(range(users)), pa.array(range(items)))


@given(seed=st.integers(0, 10_000), k=st.integers(1, 40), known=st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_neighbours_are_the_nearest_of_the_known_items(seed: int, k: int, known: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(30, 4)).astype(np.float32)
    candidates = np.sort(rng.choice(30, known, replace=False))
    found = nearest_known(features, candidates, k, centred=False, seed=seed)
    vectors = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    expected = -np.sort(-cosines[:, candidates], axis=1)[:, :k]
    np.testing.assert_allclose(found.cosines, expected, atol=1e-6)
    rows, columns = np.nonzero(np.isfinite(found.cosines))
    assert (found.items[rows, columns] != rows).all()
    np.testing.assert_allclose(
        cosines[rows, found.items[rows, columns]], found.cosines[rows, columns], atol=1e-6
    )


def test_equal_items_are_not_taken_in_the_order_of_the_catalogue() -> None:
    same = np.ones((1000, 2), np.float32)
    taken = [nearest_known(same, np.arange(1000), 20, False, seed).items[:100].mean() for seed in range(5)]
    assert len(set(taken)) == 5
    assert 350 < np.mean(taken) < 650


def test_the_score_is_the_sum_over_the_neighbours_that_the_user_has() -> None:
    # Item 3 has no events; items 0 and 1 are its neighbours, at cosines .8 and .6.
    features = np.array([[1, 0], [0, 1], [-1, 0], [0.8, 0.6]], np.float32)
    events = history([(0, 0), (0, 1), (1, 1), (1, 2)], users=2, items=4)
    one, two = content_knn(events, features, (1, 2), centred=False, seed=0)
    np.testing.assert_allclose(one.scores(np.array([0, 1]))[:, 3], [0.8, 0], atol=1e-6)
    np.testing.assert_allclose(two.scores(np.array([0, 1]))[:, 3], [1.4, 0.6], atol=1e-6)


def test_the_profile_is_the_mean_direction_of_the_users_items() -> None:
    vectors = np.array([[2, 0], [0, 5], [1, 1], [-1, 0]], np.float32)
    events = history([(0, 0), (0, 1), (1, 3)], users=2, items=4)
    scores = profile(events, vectors, centred=False, name="p").scores(np.array([0, 1]))
    np.testing.assert_allclose(scores, [[0.5, 0.5, 0.5**0.5, -0.5], [-1, 0, -(0.5**0.5), 1]], atol=1e-6)


def test_a_centred_profile_ignores_what_all_items_share() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)
    events = history([(user, item) for user in range(3) for item in (user, user + 3)], users=3, items=6)
    plain = profile(events, vectors, centred=True, name="p").scores(np.arange(3))
    moved = profile(events, vectors + np.float32(50), centred=True, name="p").scores(np.arange(3))
    np.testing.assert_allclose(plain, moved, atol=1e-3)
