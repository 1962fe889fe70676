"""Full rankings: what is ranked, what is masked, who is judged, and how ties fall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_rankings import Given, events, random_events

from streamrec.errors import EvaluationError
from streamrec.evaluation.ranking import evaluate as module
from streamrec.evaluation.ranking.evaluate import cold_parts, evaluate, evaluate_parts
from streamrec.evaluation.ranking.top import tie_order, top_items


def test_a_case_by_hand() -> None:
    # User 0 has seen item 0 and is tested on 1 and 3; user 1 has no test; user 2 has no history.
    scores = np.array([[9, 1, 5, 3], [0, 0, 0, 0], [1, 2, 3, 4]], np.float32)
    seen, test = events([(0, 0), (1, 1)], 3, 4), events([(0, 1), (0, 3), (2, 2)], 3, 4)
    quality = evaluate(Given("given", scores), seen, test, None, seed=0)
    assert quality.users.tolist() == [0, 2]
    assert quality.top[:, :5].tolist() == [[2, 3, 1, -1, -1], [3, 2, 1, 0, -1]]
    assert quality.hits[:, :4].tolist() == [[False, True, True, False], [False, True, False, False]]
    assert quality.relevant.tolist() == [2, 1]
    assert quality.activity.tolist() == [1, 0]
    means = quality.means()
    assert means["recall@10"] == 1
    assert means["mrr@10"] == 0.5
    discount = 1 / np.log2([2, 3, 4])
    expected = ((discount[1] + discount[2]) / (discount[0] + discount[1]) + discount[1]) / 2
    assert means["ndcg@10"] == pytest.approx(expected)
    assert means["coverage@10"] == 1


def test_candidates_restrict_both_what_is_ranked_and_what_is_relevant() -> None:
    scores = np.array([[4, 3, 2, 1]], np.float32)
    test = events([(0, 1), (0, 3)], 1, 4)
    mask = np.array([False, False, True, True])
    quality = evaluate(Given("given", scores), events([], 1, 4), test, mask, seed=0)
    assert quality.top[0, :3].tolist() == [2, 3, -1]
    assert quality.relevant.tolist() == [1]


def test_seen_items_that_come_again_are_neither_ranked_nor_relevant() -> None:
    seen, test = events([(0, 1)], 1, 3), events([(0, 1), (0, 1), (0, 2), (0, 2)], 1, 3)
    quality = evaluate(Given("given", np.zeros((1, 3), np.float32)), seen, test, None, seed=0)
    assert quality.relevant.tolist() == [1]
    assert set(quality.top[0].tolist()) == {-1, 0, 2}


def test_parts_are_what_each_would_be_by_itself() -> None:
    rng = np.random.default_rng(5)
    seen, test = random_events(40, 90, 0.05, rng), random_events(40, 90, 0.05, rng)
    cold = rng.random(90) < 0.3
    given_scores = Given("given", rng.normal(size=(40, 90)).astype(np.float32))
    parts = evaluate_parts(given_scores, seen, test, cold_parts(cold), seed=1)
    for name, mask in cold_parts(cold).items():
        alone = evaluate(given_scores, seen, test, mask, seed=1)
        assert parts[name].means() == alone.means()
        assert np.array_equal(parts[name].users, alone.users)
    assert sum(parts[name].relevant.sum() for name in ("warm", "cold")) == parts["overall"].relevant.sum()


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    seen, test = random_events(30, 70, 0.1, rng), random_events(30, 70, 0.1, rng)
    tied = Given("tied", rng.integers(0, 3, (30, 70)).astype(np.float32))
    whole = evaluate(tied, seen, test, None, seed=2)
    monkeypatch.setattr(module, "BLOCK_SCORES", 140)
    assert np.array_equal(evaluate(tied, seen, test, None, seed=2).top, whole.top)


def test_a_perfect_recommender_is_perfect_and_a_constant_one_is_random() -> None:
    rng = np.random.default_rng(7)
    test = random_events(200, 300, 0.02, rng)
    nothing = events([], 200, 300)
    perfect = evaluate(Given("perfect", test.matrix().toarray()), nothing, test, None, seed=0).means()
    assert [perfect[f"{metric}@50"] for metric in ("recall", "ndcg", "mrr", "hit")] == [1, 1, 1, 1]
    # Relevant items gather at low positions; ties by position would find them all.
    early = events([(user, user % 20) for user in range(200)], 200, 300)
    constant = Given("constant", np.ones((200, 300), np.float32))
    found = [evaluate(constant, nothing, early, None, seed).mean("recall@20") for seed in range(60)]
    assert np.mean(found) == pytest.approx(20 / 300, abs=0.03)


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float32, (3, 17), elements=st.sampled_from([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 3e38])
    ),
    arrays(np.bool_, (3, 17)),
    st.integers(1, 20),
    st.integers(0, 5),
)
def test_the_top_is_that_of_a_full_sort(scores: np.ndarray, masked: np.ndarray, k: int, seed: int) -> None:
    places = tie_order(17, seed)
    found = top_items(scores, masked, places, k)
    for row in range(3):
        kept = [item for item in range(17) if not masked[row, item] and scores[row, item] > -np.inf]
        expected = sorted(kept, key=lambda item: (-float(scores[row, item]), places[item]))[:k]
        assert found[row].tolist() == expected + [-1] * (k - len(expected))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(value: float) -> None:
    scores = np.zeros((1, 3), np.float32)
    scores[0, 1] = value
    with pytest.raises(EvaluationError, match="of item 1"):
        evaluate(Given("broken", scores), events([], 1, 3), events([(0, 2)], 1, 3), None, seed=0)


def test_a_test_that_asks_nothing_and_unlike_tables_are_refused() -> None:
    constant = Given("constant", np.zeros((2, 3), np.float32))
    seen = events([(0, 2)], 2, 3)
    with pytest.raises(EvaluationError, match="none of 1 test events"):
        evaluate(constant, seen, seen, None, seed=0)
    with pytest.raises(EvaluationError, match="3 and 4 items"):
        evaluate(constant, seen, events([(0, 1)], 2, 4), None, seed=0)
    with pytest.raises(EvaluationError, match="a mask of 3 items"):
        evaluate(constant, seen, events([(0, 1)], 2, 3), np.ones(2, bool), seed=0)
    wide = Given("wide", np.zeros((2, 4), np.float32))
    with pytest.raises(EvaluationError, match=r"scores \(1, 4\), expected \(1, 3\)"):
        evaluate(wide, seen, events([(0, 1)], 2, 3), None, seed=0)
