from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streamrec.evaluation.ranking.evaluate import evaluate
from streamrec.interactions.content import ItemContent
from streamrec.interactions.splits import split_by_item, split_by_user
from streamrec.interactions.table import Interactions
from streamrec.recommenders import baselines
from streamrec.recommenders.baselines import COLD, FAMILIES, WARM, fit_baselines, tune, unavailable
from streamrec.recommenders.forms import RecommenderError

USERS, ITEMS = 60, 90


def first(name: str) -> Mapping[str, Any]:
    return FAMILIES[name].combinations()[0]


@pytest.fixture(scope="module")
def content() -> ItemContent:
    rng = np.random.default_rng(0)
    genres = np.eye(6, dtype=np.float32)[np.arange(ITEMS) % 6]
    features = np.concatenate([genres, rng.normal(size=(ITEMS, 1)).astype(np.float32)], axis=1)
    return ItemContent(features @ rng.normal(size=(7, 4)).astype(np.float32), features)


@pytest.fixture(scope="module")
def events() -> Interactions:
    """User u, but the last, consumes 15 items, mostly of genre u modulo 6."""
    rng = np.random.default_rng(1)
    genre, rows = np.arange(ITEMS) % 6, []
    for user in range(USERS - 1):
        chances = np.where(genre == user % 6, 1.0, 0.02)
        chosen = rng.choice(ITEMS, 12, replace=False, p=chances / chances.sum())
        rows += [(user, item) for item in chosen]
    users, items = np.array(rows, np.int64).T
    order = rng.permutation(len(users))
    times = np.arange(len(users), dtype=np.int64) * 3_600_000_000
    weights = np.ones(len(users), np.float32)
    names = pa.array(range(USERS)), pa.array(range(ITEMS))
    return Interactions(users[order], items[order], times, weights, *names)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_user_without_history_gets_the_popularity_order(
    name: str, events: Interactions, content: ItemContent
) -> None:
    if name.startswith("als"):
        pytest.importorskip("implicit")
    (recommender,) = fit_baselines({name: first(name)}, events, content, seed=0)
    assert recommender.name == name
    scores = recommender.scores(np.array([USERS - 1, 0]))
    assert scores.shape == (2, ITEMS)
    assert scores.dtype == np.float32
    if name != "recent-popular":
        np.testing.assert_array_equal(scores[0], events.item_counts())
        assert name == "popular" or not np.array_equal(scores[1], events.item_counts())


@pytest.mark.parametrize("name", [name for name in WARM if "popular" not in name])
def test_tastes_that_follow_the_content_are_found_in_items_not_seen(
    name: str, events: Interactions, content: ItemContent
) -> None:
    if name == "als":
        pytest.importorskip("implicit")
    split = split_by_user(events, 0.2, 0.1, seed=0)
    (recommender,) = fit_baselines({name: first(name)}, split.fit, content, seed=0)
    (crowd,) = fit_baselines({"popular": {}}, split.fit, content, seed=0)
    found, chance = (
        evaluate(each, split.fit, split.test, None, 0).mean("recall@10") for each in (recommender, crowd)
    )
    assert found > 2 * chance


@pytest.mark.parametrize("name", [name for name in COLD if name != "popular"])
def test_tastes_that_follow_the_content_are_found_in_new_items(
    name: str, events: Interactions, content: ItemContent
) -> None:
    if name.startswith("als"):
        pytest.importorskip("implicit")
    split = split_by_item(events, 0.3, 0.1, seed=0)
    assert split.cold is not None
    (recommender,) = fit_baselines({name: first(name)}, split.fit, content, seed=0)
    (crowd,) = fit_baselines({"popular": {}}, split.fit, content, seed=0)
    found, chance = (
        evaluate(each, split.fit, split.test, split.cold, 0).mean("ndcg@10") for each in (recommender, crowd)
    )
    assert found > 1.8 * chance


def test_tuning_takes_the_setting_that_is_best_on_validation(
    events: Interactions, content: ItemContent
) -> None:
    split = split_by_user(events, 0.2, 0.1, seed=0)
    tuned = tune(["ease", "content-knn"], split, content, "ndcg@10", seed=0)
    for name, chosen in tuned.items():
        assert [dict(settings) for settings, _ in chosen.trials] == FAMILIES[name].combinations()
        assert chosen.score == max(score for _, score in chosen.trials)
        (recommender,) = fit_baselines({name: chosen.settings}, split.train, content, seed=0)
        again = evaluate(recommender, split.train, split.validation, None, 0).mean("ndcg@10")
        assert again == pytest.approx(chosen.score)


def test_tuning_never_looks_at_the_test(events: Interactions, content: ItemContent) -> None:
    split = split_by_item(events, 0.2, 0.2, seed=0)
    names = ["content-profile", "content-ridge"]
    nothing = split.test.select(np.array([], np.int64))
    assert tune(names, split, content, "ndcg@20", 0) == tune(
        names, replace(split, test=nothing), content, "ndcg@20", 0
    )


def test_a_large_catalogue_goes_without_ease() -> None:
    assert unavailable("ease", 20_000) is None
    assert "20,001 items" in (unavailable("ease", 20_001) or "")
    assert unavailable("popular", 10_000_000) is None


def test_als_is_left_out_where_its_library_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "find_spec", lambda name: None)
    assert "streamrec[als]" in (unavailable("als-map", 10) or "")
    assert unavailable("ease", 10) is None


def test_unknown_names_and_settings_are_refused(events: Interactions, content: ItemContent) -> None:
    with pytest.raises(RecommenderError, match="'bpr' is unknown; expected one of popular, "):
        unavailable("bpr", 10)
    with pytest.raises(RecommenderError, match=r"ease: settings \['lambda'\], expected \['penalty'\]"):
        fit_baselines({"ease": {"lambda": 1.0}}, events, content, seed=0)
