"""Metrics against numbers worked out by hand, and NDCG against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from streamrec.evaluation.ranking.beyond import coverage, gini, novelty, popularity
from streamrec.evaluation.ranking.metrics import hit_rate, ndcg, recall, reciprocal_rank

HITS = np.array(
    [
        [False, True, False, True, False],
        [False, False, False, False, True],
        [True, True, True, True, True],
        [False, False, False, False, False],
    ]
)
RELEVANT = np.array([4, 1, 8, 2])


def test_recall_divides_by_all_relevant_items_even_beyond_the_cut() -> None:
    assert recall(HITS, RELEVANT, 2).tolist() == [1 / 4, 0, 2 / 8, 0]
    assert recall(HITS, RELEVANT, 5).tolist() == [2 / 4, 1, 5 / 8, 0]


def test_ndcg_by_hand() -> None:
    first = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 0.5 + 1 / math.log2(5))
    assert ndcg(HITS, RELEVANT, 5) == pytest.approx([first, 1 / math.log2(6), 1, 0])
    # At two ranks the best ranking of four relevant items has two hits.
    assert ndcg(HITS, RELEVANT, 2)[0] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


def test_reciprocal_rank_and_hit_rate_by_hand() -> None:
    assert reciprocal_rank(HITS, RELEVANT, 5).tolist() == [1 / 2, 1 / 5, 1, 0]
    assert reciprocal_rank(HITS, RELEVANT, 4).tolist() == [1 / 2, 0, 1, 0]
    assert hit_rate(HITS, RELEVANT, 4).tolist() == [1, 0, 1, 0]


def test_lists_shorter_than_the_cut_lack_hits() -> None:
    assert ndcg(HITS[:, :2], RELEVANT, 5)[0] == pytest.approx(
        (1 / math.log2(3)) / (1 + 1 / math.log2(3) + 0.5 + 1 / math.log2(5))
    )


@pytest.mark.parametrize("k", [1, 10, 50])
def test_ndcg_is_that_of_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    truth = rng.random((200, 60)) < 0.1
    truth[:, 0] |= ~truth.any(1)
    scores = rng.normal(size=truth.shape)
    hits = np.take_along_axis(truth, np.argsort(-scores, axis=1), 1)[:, :50]
    mine = ndcg(hits, truth.sum(1), k)
    assert mine.mean() == pytest.approx(ndcg_score(truth.astype(int), scores, k=k), abs=1e-12)


def test_coverage_and_gini_count_only_what_could_be_recommended() -> None:
    candidates = np.array([True, True, True, True, False])
    alike = np.array([[0, 1], [2, 3]])
    one = np.array([[3, -1], [3, -1]])
    assert coverage(alike, candidates) == 1
    assert coverage(one, candidates) == 1 / 4
    assert gini(alike, candidates) == 0
    assert gini(one, candidates) == pytest.approx(3 / 4)


def test_gini_is_half_the_relative_mean_difference() -> None:
    shown = np.repeat(np.arange(6), [1, 2, 2, 5, 9, 0])[:, None]
    counts = np.array([1, 2, 2, 5, 9, 0])
    apart = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(shown, np.ones(6, bool)) == pytest.approx(apart / (2 * counts.mean()))


def test_novelty_is_in_bits_and_finite_for_items_nobody_has_seen() -> None:
    seen = np.array([7, 3, 0])
    assert novelty(np.array([[0]]), seen, 7) == 0
    assert novelty(np.array([[1, -1]]), seen, 7) == 1
    assert novelty(np.array([[2, 1]]), seen, 7) == 2


def test_popularity_is_a_mean_of_means_over_lists() -> None:
    assert popularity(np.array([[0, 1], [2, -1], [-1, -1]]), np.array([8, 4, 1])) == pytest.approx(3.5)
