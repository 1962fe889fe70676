"""Slices: who and what falls into each, and that their numbers are those of a ranking cut by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from made_rankings import Given, events, random_events

from streamrec.evaluation.ranking.evaluate import evaluate
from streamrec.evaluation.ranking.slices import NO_HISTORY, QUARTERS, ItemGroups, by_activity, by_group


def test_groups_of_categories_and_of_labels() -> None:
    single = ItemGroups.of("kind", pa.array(["b", "a", None, "a"]))
    assert single.names == ("a", "b", "(missing)")
    assert single.member.sum(0).tolist() == [2, 1, 1]
    several = ItemGroups.of("genre", pa.chunked_array([[["x", "y"], []], [None, ["y"]]]))
    assert several.names == ("y", "x")
    assert several.member.tolist() == [[True, True], [False, False], [False, False], [True, False]]


def test_a_group_counts_its_own_items_at_their_ranks_among_all() -> None:
    scores = np.array([[5, 4, 3, 2]], np.float32)
    test = events([(0, 1), (0, 2), (0, 3)], 1, 4)
    groups = ItemGroups(
        "g", ("even", "odd", "none"), np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], bool)
    )
    quality = evaluate(Given("given", scores), events([], 1, 4), test, None, seed=0)
    even, odd = by_group(quality, groups, ["ndcg@10", "recall@10"])
    assert (even.name, even.users, even.relevant) == ("even", 1, 1)
    assert even.figures["ndcg@10"] == pytest.approx(1 / np.log2(4))
    best = 1 + 1 / np.log2(3)
    assert odd.figures["ndcg@10"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / best)
    assert odd.figures["recall@10"] == 1


def test_a_group_of_all_items_is_the_whole() -> None:
    rng = np.random.default_rng(0)
    seen, test = random_events(50, 80, 0.05, rng), random_events(50, 80, 0.05, rng)
    quality = evaluate(Given("g", rng.normal(size=(50, 80)).astype(np.float32)), seen, test, None, seed=0)
    (whole,) = by_group(quality, ItemGroups("all", ("all",), np.ones((80, 1), bool)), ["ndcg@10"])
    assert whole.figures["ndcg@10"] == pytest.approx(quality.mean("ndcg@10"))
    warm, cold = by_group(quality, ItemGroups.cold(np.arange(80) >= 60), ["recall@50"])
    assert warm.relevant + cold.relevant == whole.relevant


def test_activity_parts_the_users_and_its_mean_is_the_whole() -> None:
    rng = np.random.default_rng(1)
    pairs = [(user, int(item)) for user in range(1, 41) for item in rng.choice(60, user % 20 + 1, False)]
    seen, test = events(pairs, 41, 100), events([(user, 60 + user % 40) for user in range(41)], 41, 100)
    quality = evaluate(Given("g", rng.normal(size=(41, 100)).astype(np.float32)), seen, test, None, seed=0)
    found = by_activity(quality, ["recall@50"])
    assert [part.name for part in found] == [NO_HISTORY, *QUARTERS]
    assert [part.users for part in found] == [1, 10, 10, 10, 10]
    whole = sum(part.users * part.figures["recall@50"] for part in found) / 41
    assert whole == pytest.approx(quality.mean("recall@50"))


def test_users_of_equal_activity_share_a_quarter() -> None:
    seen, test = (
        events([(user, 0) for user in range(8)], 8, 3),
        events([(user, 1) for user in range(8)], 8, 3),
    )
    (only,) = by_activity(
        evaluate(Given("g", np.zeros((8, 3), np.float32)), seen, test, None, seed=0), ["hit@10"]
    )
    assert (only.name, only.users) == (QUARTERS[0], 8)
