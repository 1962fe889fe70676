"""A comparison of recommenders as lines for a console and as one long table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from streamrec.evaluation import formats
from streamrec.evaluation.ranking.comparison import Part, RankingComparison

SHOWN = ("ndcg@10", "recall@20", "mrr@10", "hit@10", "coverage@20", "novelty@20")
"""Figures of the console's table, after the judged ones."""

SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("part", pa.string()),
        ("kind", pa.string()),
        ("slice", pa.string()),
        ("recommender", pa.string()),
        ("baseline", pa.string()),
        ("figure", pa.string()),
        ("seed", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("users", pa.int64()),
    ]
)
"""`kind` is `figure` (seed null: the mean over seeds, with its interval), `difference` (the main
recommender's less the baseline's), or what a slice cuts by: `activity` or a column."""


def comparison_lines(comparison: RankingComparison) -> list[str]:
    """The split and why; a table per part, best first, means with half their 95% intervals; the verdict."""
    seeds = f"{'seed' if len(comparison.seeds) == 1 else 'seeds'} {', '.join(map(str, comparison.seeds))}"
    lines = [f"Split: {comparison.split}; {seeds}", comparison.why]
    figures = tuple(dict.fromkeys((*comparison.judged, *SHOWN)))
    for part in comparison.parts.values():
        users, items = formats.count(part.users), formats.count(part.candidates)
        lines += ["", f"{part.name or 'all'}: {users} users, {items} items ranked"]
        lines += _aligned(_cells(part, figures))
    return [*lines, "", *comparison.verdict.lines()]


def _cells(part: Part, figures: Sequence[str]) -> list[list[str]]:
    order = sorted(part.figures, key=lambda name: -part.figures[name][figures[0]].mean)
    rows = [["", *figures]]
    for name in order:
        cells = [name]
        for figure in figures:
            found = part.figures[name][figure]
            half = (found.high - found.low) / 2
            digits = 1 if figure.startswith("novelty") else 4
            cells.append(f"{found.mean:.{digits}f} ±{half:.{digits}f}")
        rows.append(cells)
    return rows


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]


def comparison_table(comparison: RankingComparison) -> pa.Table:
    """Every figure by seed and over seeds, every paired difference, every slice; see `SCHEMA`."""
    rows = [{"split": comparison.split} | row for row in _rows(comparison)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rows(comparison: RankingComparison) -> Iterator[dict[str, Any]]:
    for part in comparison.parts.values():
        where = {"part": part.name, "users": part.users}
        for recommender, figures in part.figures.items():
            for figure, found in figures.items():
                row = where | {"kind": "figure", "recommender": recommender, "figure": figure}
                yield row | {"value": found.mean, "low": found.low, "high": found.high}
                for seed, value in found.by_seed.items():
                    yield row | {"seed": seed, "value": value}
        for apart in part.differences:
            row = where | {"kind": "difference", "recommender": comparison.main, "baseline": apart.baseline}
            yield row | {"figure": apart.figure, "value": apart.mean, "low": apart.low, "high": apart.high}
    for recommender, slices in comparison.slices.items():
        for cut in slices:
            for figure, value in cut.figures.items():
                row = {"part": comparison.first.name, "kind": cut.kind, "slice": cut.name}
                yield row | {"recommender": recommender, "figure": figure, "value": value, "users": cut.users}
