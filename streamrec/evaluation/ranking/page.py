"""`write_rankings`: a comparison of recommenders as one HTML page that needs no network, and as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup, escape

from streamrec.evaluation import formats
from streamrec.evaluation.inline import inline_svg
from streamrec.evaluation.pages import Cell, environment, write_page, write_table
from streamrec.evaluation.plots import to_svg
from streamrec.evaluation.ranking.comparison import Estimate, Part, RankingComparison
from streamrec.evaluation.ranking.metrics import CUTOFFS, METRICS
from streamrec.evaluation.ranking.pictures import activity_lines, difference_strips, group_dots, strips
from streamrec.evaluation.ranking.quality import BEYOND
from streamrec.evaluation.ranking.slices import Slice
from streamrec.evaluation.ranking.tables import comparison_table

RANKING_TABLE = "rankings.parquet"
RANKING_PAGE = "rankings.html"

LISTED_GROUPS = 20
"""Groups of items that the page lists of each column, those with the most relevant items; the Parquet file
has all."""

LABELS = {
    "recall": "Recall",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "hit": "Hit rate",
    "coverage": "Coverage",
    "novelty": "Novelty, bits",
    "popularity": "Popularity",
    "gini": "Gini index",
}
MEANINGS = {
    "recall": "Share of a user's relevant items among the first k; divided by their number, even above k.",
    "ndcg": "Discounted gain, 1 / log2(rank + 1) per relevant item, over that of the best possible list.",
    "mrr": "One over the rank of the first relevant item; 0 where none is among the first k.",
    "hit": "Share of users with a relevant item among the first k.",
    "coverage": "Share of the items that could be recommended that somebody's first k hold.",
    "novelty": "Mean self-information of recommended items: -log2 of the share of users who had seen them.",
    "popularity": "Mean number of users who had seen a recommended item.",
    "gini": "How unevenly recommendations fall on items: 0 evenly, 1 all on one.",
}


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    label: str
    cells: list[Cell]
    note: str = ""


def write_rankings(folder: Path, comparison: RankingComparison) -> None:
    """Write `RANKING_TABLE` and `RANKING_PAGE`, each whole or not at all.

    Args:
        folder: where to; made where it is not there.
        comparison: of one split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / RANKING_TABLE, comparison_table(comparison))
    write_page(folder / RANKING_PAGE, render(comparison))


def render(comparison: RankingComparison) -> str:
    """The page."""
    template = (files("streamrec.evaluation.ranking") / "rankings.html").read_text("utf-8")
    first, verdict = comparison.first, comparison.verdict
    order = _order(comparison)
    kinds = dict.fromkeys(cut.kind for cut in comparison.slices[comparison.main])
    slices = {kind: _slices(comparison, kind) for kind in kinds}
    return (
        environment()
        .from_string(template)
        .render(
            comparison=comparison,
            verdict=verdict,
            order=order,
            groups={
                LABELS[name]: [Row(f"@{k}", _cells(first, f"{name}@{k}", order)) for k in CUTOFFS]
                for name in METRICS
            },
            beyond={
                LABELS[name]: [Row(f"@{k}", _cells(first, f"{name}@{k}", order)) for k in CUTOFFS]
                for name in BEYOND
            },
            sides={
                recommender: [
                    [_cell(part.figures[recommender][figure], figure, part.best(figure) == recommender)]
                    for part in comparison.parts.values()
                    for figure in comparison.judged
                ]
                for recommender in order
            },
            differences=_differences(comparison),
            slices={
                kind: {
                    figure: [_slice_row(cuts, figure, order) for cuts in found.values()]
                    for figure in comparison.judged
                }
                for kind, found in slices.items()
            },
            listed=LISTED_GROUPS,
            glossary={LABELS[name]: MEANINGS[name] for name in LABELS},
            pictures=_pictures(comparison, order, slices),
        )
    )


def _order(comparison: RankingComparison) -> list[str]:
    """The main recommender, then the others by the first judged figure."""
    figures, judged = comparison.first.figures, comparison.judged[0]
    return sorted(figures, key=lambda name: (name != comparison.main, -figures[name][judged].mean))


def _number(value: float, figure: str) -> str:
    name = figure.partition("@")[0]
    return (
        f"{value:.{2 if name == 'novelty' else 1}f}" if name in ("novelty", "popularity") else f"{value:.4f}"
    )


def _cell(found: Estimate, figure: str, best: bool) -> Cell:
    low, high = _number(found.low, figure), _number(found.high, figure)
    return Cell(_number(found.mean, figure), f"{low} – {high}" if low != high else "", best)


def _cells(part: Part, figure: str, order: list[str]) -> list[Cell]:
    judged = figure.partition("@")[0] in METRICS
    return [_cell(part.figures[name][figure], figure, judged and part.best(figure) == name) for name in order]


def _differences(comparison: RankingComparison) -> dict[str, list[tuple[str, str, str, str, str]]]:
    """By judged figure: baseline, difference, interval, relative difference, standing; nearest first."""
    return {
        figure: [
            (
                found.baseline,
                _signed(found.mean),
                f"{_signed(found.low)} to {_signed(found.high)}",
                formats.percent(found.ratio - 1) if found.ratio == found.ratio else formats.ABSENT,
                found.standing,
            )
            for found in sorted(comparison.verdict.differences, key=lambda found: found.mean)
            if found.figure == figure
        ]
        for figure in comparison.judged
    }


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def _slices(comparison: RankingComparison, kind: str) -> dict[str, dict[str, Slice]]:
    """By the slice's name, then by recommender; of groups of items those with the most relevant ones."""
    found: dict[str, dict[str, Slice]] = {}
    for recommender, cuts in comparison.slices.items():
        for cut in cuts:
            if cut.kind == kind:
                found.setdefault(cut.name, {})[recommender] = cut
    if kind == "activity":
        return found
    largest = sorted(found, key=lambda name: -found[name][comparison.main].relevant)[:LISTED_GROUPS]
    return {name: found[name] for name in largest}


def _slice_row(cuts: dict[str, Slice], figure: str, order: list[str]) -> Row:
    values = {name: cuts[name].figures[figure] for name in order}
    best = max(values.values())
    any_cut = cuts[order[0]]
    note = f"{formats.count(any_cut.users)} users, {formats.count(any_cut.relevant)} relevant"
    return Row(any_cut.name, [Cell(f"{v:.4f}", best=v == best) for v in values.values()], note)


def _pictures(
    comparison: RankingComparison, order: list[str], slices: dict[str, dict[str, dict[str, Slice]]]
) -> dict[str, Markup]:
    first, main, judged = comparison.first, comparison.main, comparison.judged
    shown = dict.fromkeys((*judged, "mrr@10", "hit@10"))
    drawn = {"strips": strips(first, {figure: _label(figure) for figure in shown}, main, order)}
    labels = {"strips": "Figures of each recommender with 95% intervals"}
    if comparison.verdict.differences:
        drawn["differences"] = difference_strips(comparison.verdict.differences, judged, main)
        labels["differences"] = f"{main} less each baseline, with 95% intervals"
    drawn["beyond"] = strips(first, {f"{name}@20": _label(f"{name}@20") for name in BEYOND}, main, order)
    labels["beyond"] = "Coverage, novelty, popularity and concentration of each recommender"
    for at, (kind, found) in enumerate(slices.items()):
        cuts = {name: [by_name[name] for by_name in found.values()] for name in order}
        if kind == "activity":
            drawn[kind] = activity_lines(cuts, judged, main, order)
            labels[kind] = "Figures of each recommender by how much users had seen"
        elif len(order) > 1:
            against = comparison.verdict.closest(judged[0]).baseline if comparison.baselines else order[1]
            drawn[kind] = group_dots(cuts, judged, main, against)
            labels[kind] = f"{main} and {against} by {kind}, group {at}"
    return {
        name: Markup(inline_svg(to_svg(picture), f"picture{at}", escape(labels[name])))
        for at, (name, picture) in enumerate(drawn.items())
    }


def _label(figure: str) -> str:
    name, _, k = figure.partition("@")
    return f"{LABELS[name]} @{k}"
