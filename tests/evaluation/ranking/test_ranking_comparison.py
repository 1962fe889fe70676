"""Recommenders side by side: who beats whom, by how much, and what the tables say of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from made_rankings import compared, judged_trials

from streamrec.errors import EvaluationError
from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.tables import comparison_lines, comparison_table


@pytest.fixture(scope="module")
def comparison() -> RankingComparison:
    return compared("good")


def test_the_better_beats_its_baselines_and_the_worse_does_not(comparison: RankingComparison) -> None:
    assert comparison.beats_baselines
    assert comparison.verdict.closest("ndcg@10").baseline == "fair"
    fair = compared("fair")
    assert not fair.beats_baselines
    assert {found.baseline: found.standing for found in fair.verdict.differences} == {
        "good": "below",
        "random": "above",
    }


def test_a_recommender_does_not_beat_its_twin() -> None:
    trials = judged_trials()
    twins = [replace(quality, recommender="twin") for quality in trials if quality.recommender == "good"]
    found = RankingComparison.of("user", "why", {"": [*trials, *twins]}, "good", ["twin"], replicates=100)
    assert {apart.standing for apart in found.verdict.differences} == {"level"}
    assert {apart.mean for apart in found.verdict.differences} == {0}
    assert not found.beats_baselines


def test_estimates_are_means_over_seeds_of_means_over_users(comparison: RankingComparison) -> None:
    qualities = [quality for quality in judged_trials() if quality.recommender == "good"]
    found = comparison.first.figures["good"]["ndcg@10"]
    by_seed = {quality.seed: quality.mean("ndcg@10") for quality in qualities}
    assert found.by_seed == pytest.approx(by_seed)
    assert found.mean == pytest.approx(np.mean(list(by_seed.values())))
    assert found.low < found.mean < found.high
    coverage = comparison.first.figures["good"]["coverage@10"]
    assert (coverage.low, coverage.high) == (min(coverage.by_seed.values()), max(coverage.by_seed.values()))


def test_differences_are_surer_than_the_figures_apart(comparison: RankingComparison) -> None:
    twin = "nearly"
    trials = judged_trials()
    # The same rankings with one user's hits lost: almost the same figure, user by user.
    changed = [
        replace(quality, recommender=twin, hits=quality.hits & (quality.users != quality.users[0])[:, None])
        for quality in trials
        if quality.recommender == "good"
    ]
    found = RankingComparison.of("user", "why", {"": [*trials, *changed]}, "good", [twin], replicates=200)
    apart = found.verdict.closest("ndcg@10")
    alone = found.first.figures["good"]["ndcg@10"]
    assert apart.high - apart.low < 0.6 * (alone.high - alone.low)


def test_only_named_baselines_have_to_be_beaten() -> None:
    assert compared("fair", baselines=["random"]).beats_baselines


def test_the_same_trials_give_the_same_comparison(comparison: RankingComparison) -> None:
    assert comparison_table(compared("good")).equals(comparison_table(comparison))


def test_the_table_holds_what_the_comparison_says(comparison: RankingComparison) -> None:
    table = comparison_table(comparison)
    assert set(table["split"].to_pylist()) == {"user"}
    apart = table.filter((pc.field("kind") == "difference") & (pc.field("figure") == "ndcg@10")).to_pylist()
    assert {row["baseline"]: row["value"] for row in apart if row["part"] == "all items"} == {
        found.baseline: found.mean for found in comparison.verdict.differences if found.figure == "ndcg@10"
    }
    kinds = set(table["kind"].to_pylist())
    assert kinds == {"figure", "difference", "activity", "genre"}
    alone = (pc.field("kind") == "figure") & (pc.field("figure") == "hit@50") & (pc.field("part") == "cold")
    assert table.filter(alone).num_rows == 3 * (1 + 2)


def test_the_lines_name_the_split_and_put_the_best_first(comparison: RankingComparison) -> None:
    lines = comparison_lines(comparison)
    assert lines[:2] == ["Split: user; seeds 0, 1", "Because."]
    ranked = [line.split()[0] for line in lines[5:8]]
    assert ranked == ["good", "fair", "random"]
    assert "good beats its baselines on ndcg@10 and recall@20" in lines


def test_unlike_trials_are_refused() -> None:
    trials = judged_trials()
    with pytest.raises(EvaluationError, match="judged twice under seed 0"):
        RankingComparison.of("user", "why", {"": [*trials, trials[0]]}, "good")
    with pytest.raises(EvaluationError, match="seed 1 lacks or adds random"):
        RankingComparison.of("user", "why", {"": trials[:-1]}, "good")
    other = replace(trials[-1], users=trials[-1].users + 1)
    with pytest.raises(EvaluationError, match="judged on different users under seed 1"):
        RankingComparison.of("user", "why", {"": [*trials[:-1], other]}, "good")
    with pytest.raises(EvaluationError, match="best: not among the recommenders"):
        RankingComparison.of("user", "why", {"": trials}, "best")
    with pytest.raises(EvaluationError, match="no trials"):
        RankingComparison.of("user", "why", {"": []}, "good")
