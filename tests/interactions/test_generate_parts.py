"""Users, truth and slates against what their equations say."""

import numpy as np
import pyarrow as pa
import pytest

from streamrec.interactions.generate_slates import EXAMINATION, SLATE, Arrivals, Platform
from streamrec.interactions.generate_truth import END_SECOND, FIRST_SECOND, TrueRelevance
from streamrec.interactions.generate_users import AGE_GROUPS, AGE_SHARE, COUNTRIES, draw_users

USERS, ITEMS = 20_000, 3_000


@pytest.fixture(scope="module")
def users():
    return draw_users(USERS, seed=5)


@pytest.fixture(scope="module")
def truth(users):
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((ITEMS, 6)).astype(np.float32)
    popularity = rng.standard_normal(ITEMS).astype(np.float32)
    ids = pa.array([f"i{i}" for i in range(ITEMS)])
    return TrueRelevance(users.table["user_id"].combine_chunks(), ids, users.tastes, factors, popularity)


@pytest.fixture(scope="module")
def shown(users, truth):
    rng = np.random.default_rng(1)
    published = rng.integers(FIRST_SECOND - 10**7, END_SECOND, ITEMS)
    times = rng.integers(FIRST_SECOND, END_SECOND, 100_000)
    return Platform(truth, users, published).visits(times, rng), published


def at(tau):
    return round((FIRST_SECOND + tau * (END_SECOND - FIRST_SECOND)) * 1e6)


@pytest.mark.parametrize("tau", [0, 0.3, 1])
def test_taste_has_mean_zero_and_unit_covariance_at_every_time(truth, tau):
    tastes = truth.taste(np.arange(USERS), at(tau))
    # The most frequent country and age group weigh on the mean: its deviation is that of USERS draws.
    assert tastes.mean(axis=0) == pytest.approx(np.zeros(6), abs=5 / np.sqrt(USERS))
    assert np.cov(tastes.T) == pytest.approx(np.eye(6), abs=7 / np.sqrt(USERS))


@pytest.mark.parametrize(("tau", "correlation"), [(0.25, 0.7 + 0.3 * np.sqrt(0.5)), (0.5, 0.7), (1, 0.4)])
def test_taste_drifts_by_the_known_autocorrelation(truth, tau, correlation):
    before, after = (truth.taste(np.arange(USERS), at(t)) for t in (0, tau))
    assert (before * after).mean() == pytest.approx(correlation, abs=0.02)


def test_known_features_explain_their_share_of_the_steady_taste(users):
    steady = users.tastes[0]
    for name, values in (("country", COUNTRIES), ("age_group", AGE_GROUPS)):
        cells = np.array(users.table[name].to_pylist())
        groups = [steady[cells == value] for value in values]
        between = sum(len(g) * (g.mean(axis=0) ** 2).sum() for g in groups) / sum(map(len, groups))
        assert between / 6 == pytest.approx(0.2, abs=0.02)


def test_feature_cells_have_the_known_shares(users):
    ages = users.table["age_group"].to_pylist()
    assert ages.count(None) / USERS == pytest.approx(0.1, abs=0.01)
    assert users.table["country"].null_count / USERS == pytest.approx(0.05, abs=0.01)
    counts = np.array([ages.count(group) for group in AGE_GROUPS])
    assert counts / counts.sum() == pytest.approx(AGE_SHARE, abs=0.015)


def test_visits_follow_zipfs_law_with_the_known_slope(users, shown):
    visits = np.bincount(shown[0].users[shown[0].users >= 0], minlength=USERS)
    old = users.joined < FIRST_SECOND  # the others had less time
    rank = np.empty(USERS)
    rank[np.argsort(-users.activity)] = np.arange(1, USERS + 1)
    bins = np.digitize(rank, np.geomspace(1, USERS, 12))
    means = [(rank[old & (bins == b)].mean(), visits[old & (bins == b)].mean()) for b in range(6, 12)]
    ranks, counts = np.array(means).T
    slope = np.polyfit(np.log(ranks + 0.01 * USERS), np.log(counts), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)
    assert users.activity.max() * USERS == pytest.approx(21.5, abs=0.5)


def test_positions_are_examined_by_their_rank_whatever_is_shown(shown):
    visits = shown[0]
    there = (visits.items >= 0) & (visits.users >= 0)[:, None]
    rate = (visits.examined & there).sum(axis=0) / there.sum(axis=0)
    assert rate == pytest.approx(EXAMINATION, abs=0.01)


def test_clicks_are_relevance_times_examination(truth, shown):
    visits = shown[0]
    for position in range(SLATE):
        row = np.nonzero((visits.items[:, position] >= 0) & (visits.users >= 0))[0]
        items, times = visits.items[row, position], visits.times[row] * 1_000_000
        expected = truth.probability(visits.users[row], items, times) * EXAMINATION[position]
        clicked = visits.clicked[row, position]
        for part in np.array_split(np.argsort(expected), 4):
            error = np.sqrt(expected[part].mean() / len(part))
            assert clicked[part].mean() == pytest.approx(expected[part].mean(), abs=4.5 * error)


def test_slates_are_shown_by_falling_popularity_with_empty_places_last(truth, shown):
    items = shown[0].items
    popularity = np.where(items >= 0, truth.popularity[items], -np.inf)
    assert (popularity[:, :-1] >= popularity[:, 1:]).all()


def test_new_items_are_shown_more_than_their_popularity_warrants(shown):
    visits, published = shown
    items = visits.items[visits.times > END_SECOND - 86_400 * 30]
    counts = np.bincount(items[items >= 0], minlength=ITEMS)
    recent = published > END_SECOND - 86_400 * 60
    assert counts[recent].mean() > 2 * counts[~recent].mean()


def test_arrivals_are_drawn_by_weight_among_those_present():
    since, weights = np.array([30, 10, 20]), np.array([6.0, 1.0, 3.0])
    arrivals = Arrivals(since, weights)
    uniforms = (np.arange(1_000) + 0.5)[None] / 1_000
    shares = {9: [0, 0, 0], 10: [0, 1, 0], 20: [0, 0.25, 0.75], 35: [0.6, 0.1, 0.3]}
    for time, expected in shares.items():
        drawn = arrivals.draw(np.array([time]), uniforms)[0]
        assert np.bincount(drawn[drawn >= 0], minlength=3) / 1_000 == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weight", [1e-9, 0.1, 1.0, np.nextafter(1, 2), 1.9999, 3.0])
def test_the_largest_uniform_draws_nothing_that_is_not_there_yet(weight):
    arrivals = Arrivals(np.array([1, 2]), np.array([weight, 1e9]))
    assert arrivals.draw(np.array([1]), np.array([[np.nextafter(1, 0)]])).item() == 0


def test_ranking_by_truth_orders_as_the_probabilities_do(truth):
    users, time = np.array([3, 11]), at(0.6)
    scores = truth.at(time).scores(users)
    assert scores.shape == (2, ITEMS)
    for user, row in zip(users, scores, strict=True):
        items = np.arange(ITEMS)
        exact = truth.probability(np.full(ITEMS, user), items, np.full(ITEMS, time))
        assert 1 / (1 + np.exp(-row)) == pytest.approx(exact, abs=1e-5)
