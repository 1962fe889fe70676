"""The page of rankings needs nothing but itself and takes names for text."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from html_pages import NASTY, Page
from made_rankings import compared

from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.page import RANKING_PAGE, RANKING_TABLE, render, write_rankings
from streamrec.evaluation.ranking.tables import comparison_table


@pytest.fixture(scope="module")
def comparison() -> RankingComparison:
    return compared("good", column=NASTY, names=("good", NASTY, "random"))


@pytest.fixture(scope="module")
def html(comparison: RankingComparison) -> str:
    return render(comparison)


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    page = Page(html)
    assert [r for r in page.references if not r.startswith("#")] == []
    assert not {"link", "iframe", "object", "embed", "script", "form", "img"} & set(page.tags)
    assert "http" not in html
    assert page.handlers == []


def test_every_reference_inside_the_page_has_its_target(html: str) -> None:
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    pointed = {r[1:] for r in page.references} | set(re.findall(r"url\(#([^)]*)\)", html))
    assert pointed - set(page.ids) == set()


def test_the_page_says_the_verdict_the_split_and_every_figure(
    html: str, comparison: RankingComparison
) -> None:
    text = " ".join(Page(html).words)
    assert "good beats its baselines on ndcg@10 and recall@20." in text
    assert "Because." in text
    for part in comparison.parts.values():
        for figures in part.figures.values():
            assert f"{figures['ndcg@10'].mean:.4f}" in text
    assert f"{comparison.first.figures['random']['hit@50'].mean:.4f}" in text


def test_a_recommender_that_does_not_beat_its_baselines_is_said_not_to() -> None:
    text = " ".join(Page(render(compared("fair"))).words)
    assert "fair does not beat its baselines" in text
    assert "It is not fit to be promoted" in text


def test_equal_comparisons_give_equal_files(comparison: RankingComparison, html: str, tmp_path: Path) -> None:
    write_rankings(tmp_path / "deep" / "er", comparison)
    assert (tmp_path / "deep" / "er" / RANKING_PAGE).read_text("utf-8") == html
    assert pq.read_table(tmp_path / "deep" / "er" / RANKING_TABLE).equals(comparison_table(comparison))
    assert len(list((tmp_path / "deep" / "er").iterdir())) == 2
