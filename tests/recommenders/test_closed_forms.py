"""EASE, ridge, popularity and ALS against independent solutions of what they minimise."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from streamrec.interactions.table import Interactions
from streamrec.recommenders.als import Factors, als_with_map, als_with_neighbours, factorise
from streamrec.recommenders.ease import ease
from streamrec.recommenders.forms import Fallback, ItemToItem, RecommenderError
from streamrec.recommenders.popular import popular, recent_popular
from streamrec.recommenders.ridge import content_ridge

DAY = 86_400_000_000


def events(matrix: np.ndarray, days: np.ndarray | None = None) -> Interactions:
    """One event per cell of a 0/1 matrix (U, I), a day apart unless told."""
    users, items = np.nonzero(matrix)
    times = (np.arange(len(users)) if days is None else np.asarray(days)) * DAY
    ids = (pa.array(range(side)) for side in matrix.shape)
    return Interactions(users, items, times.astype(np.int64), np.ones(len(users), np.float32), *ids)


def draw(seed: int, users: int = 30, items: int = 12, share: float = 0.3) -> np.ndarray:
    matrix = np.random.default_rng(seed).random((users, items)) < share
    matrix[0] = True
    return matrix.astype(np.float64)


@given(seed=st.integers(0, 1000), penalty=st.floats(0.5, 500))
@settings(max_examples=20, deadline=None)
def test_ease_is_a_ridge_regression_of_each_item_on_the_others(seed: int, penalty: float) -> None:
    matrix = draw(seed)
    model = ease(events(matrix), penalty)
    assert isinstance(model, ItemToItem)
    for item in range(matrix.shape[1]):
        others = np.delete(matrix, item, axis=1)
        gram = others.T @ others + penalty * np.eye(others.shape[1])
        expected = np.insert(np.linalg.solve(gram, others.T @ matrix[:, item]), item, 0)
        np.testing.assert_allclose(model.similarity[:, item], expected, atol=1e-5)


def test_ease_over_more_items_than_a_block_of_its_inverse() -> None:
    matrix = draw(3, users=50, items=1100, share=0.05)
    model = ease(events(matrix), 20.0)
    inverse = np.linalg.inv(matrix.T @ matrix + 20 * np.eye(1100))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(model.similarity, expected, atol=1e-6)


def test_ease_refuses_what_it_cannot_invert() -> None:
    none = np.array([], np.int64)
    large = Interactions(
        none, none, none, np.array([], np.float32), pa.array([0]), pa.array(np.arange(20_001))
    )
    with pytest.raises(RecommenderError, match="20001 items, expected at most 20000"):
        ease(large, 10)
    with pytest.raises(RecommenderError, match="penalty is 0, expected more than 0"):
        ease(events(draw(0)), 0)


def test_content_ridge_is_one_ridge_regression_per_user() -> None:
    matrix, features = draw(1), np.random.default_rng(2).normal(size=(12, 4)).astype(np.float32)
    scores = content_ridge(events(matrix), features, 3.0).scores(np.arange(30))
    peer = Ridge(alpha=3.0).fit(features, matrix.T)
    expected = peer.predict(features).T - peer.predict(features.mean(0, keepdims=True)).T
    np.testing.assert_allclose(scores[1:], expected[1:], atol=1e-5)


def test_items_without_events_are_no_evidence_against_their_content() -> None:
    matrix, features = draw(1), np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32)
    alone = content_ridge(events(matrix), features[:12], 3.0)
    wider = content_ridge(events(np.pad(matrix, ((0, 0), (0, 8)))), features, 3.0)
    np.testing.assert_allclose(wider.users, alone.users, atol=1e-6)
    np.testing.assert_allclose(wider.scores(np.arange(3))[:, :12], alone.scores(np.arange(3)), atol=1e-5)


def test_an_event_of_one_half_life_ago_counts_half() -> None:
    matrix = np.array([[1, 1, 0], [0, 1, 1]])
    found = recent_popular(events(matrix, days=np.array([0, 7, 14, 14])), half_life_days=7)
    np.testing.assert_allclose(found.weights, [0.25, 0.5 + 1, 1])
    np.testing.assert_array_equal(popular(events(matrix)).weights, [1, 2, 1])
    with pytest.raises(RecommenderError, match="half_life_days is 0"):
        recent_popular(events(matrix), 0)


def test_als_weighs_consumed_cells_by_alpha_and_others_by_one() -> None:
    pytest.importorskip("implicit")
    matrix, alpha, penalty = draw(5, users=120, items=90), 4.0, 2.0
    model = factorise(events(matrix), alpha, penalty, seed=0)
    x, y = model.users.astype(np.float64), model.items.astype(np.float64)

    def loss(x: np.ndarray, y: np.ndarray) -> float:
        weights = np.where(matrix > 0, alpha, 1)
        return float((weights * (matrix - x @ y.T) ** 2).sum() + penalty * ((x**2).sum() + (y**2).sum()))

    exact = y.copy()
    for item in range(matrix.shape[1]):
        weights = np.where(matrix[:, item] > 0, alpha, 1)
        gram = (x * weights[:, None]).T @ x + penalty * np.eye(x.shape[1])
        exact[item] = np.linalg.solve(gram, (x * weights[:, None]).T @ matrix[:, item])
    # The items were solved last: nothing is left to gain in them.
    assert loss(x, y) == pytest.approx(loss(x, exact), rel=1e-3)
    again = factorise(events(matrix), alpha, penalty, seed=0)
    assert again.users.tobytes() == model.users.tobytes()
    assert factorise(events(matrix), alpha, penalty, seed=1).users.tobytes() != model.users.tobytes()


@pytest.fixture
def half_known() -> tuple[Factors, np.ndarray, np.ndarray]:
    """Factors of 40 items linear in 3 features, those of the last 10 not known; and all of them."""
    rng = np.random.default_rng(4)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    truth = (1 + features @ rng.normal(size=(3, 64))).astype(np.float32)
    items = truth.copy()
    items[30:] = 0
    fallback = Fallback(np.ones(40, np.float32), np.zeros(5, bool))
    users = rng.normal(size=(5, 64)).astype(np.float32)
    return Factors(users, items, np.arange(30), fallback), features, truth


def test_the_map_finds_factors_that_are_linear_in_the_content(
    half_known: tuple[Factors, np.ndarray, np.ndarray],
) -> None:
    factors, features, truth = half_known
    np.testing.assert_allclose(als_with_map(factors, features, 1e-6).items, truth, atol=1e-4)


def test_neighbours_lend_their_mean_factor_to_new_items_only(
    half_known: tuple[Factors, np.ndarray, np.ndarray],
) -> None:
    factors, features, truth = half_known
    found = list(als_with_neighbours(factors, features, (1, 3), centred=False, seed=0))
    lengths = np.linalg.norm(features, axis=1)
    cosines = features @ features[:30].T / lengths[:, None] / lengths[:30]
    for k, model in zip((1, 3), found, strict=True):
        nearest = np.argsort(-cosines, axis=1)[:, :k]
        np.testing.assert_array_equal(model.items[:30], truth[:30])
        np.testing.assert_allclose(model.items[30:], truth[nearest[30:]].mean(1), rtol=1e-5)
