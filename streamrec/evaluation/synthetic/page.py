"""`write_comparison`: a comparison of augmenters as one HTML page that needs no network, and as Parquet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
from markupsafe import Markup

from streamrec.evaluation import formats
from streamrec.evaluation.inline import inline_svg
from streamrec.evaluation.pages import Cell, environment, write_page, write_table
from streamrec.evaluation.plots import to_svg
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.comparison import ColumnErrors, Comparison, Summary
from streamrec.evaluation.synthetic.figures import FIGURES, Figure
from streamrec.evaluation.synthetic.marginal_panels import marginals
from streamrec.evaluation.synthetic.marginals import PROBABILITIES
from streamrec.evaluation.synthetic.outputs import COMPARISON_PAGE, COMPARISON_TABLE
from streamrec.evaluation.synthetic.pictures import correlation_maps, figure_strips, plane
from streamrec.evaluation.synthetic.reference import Reference

DRAWN_ROWS = 3_000
"""Rows of each table in the map."""
LISTED_COLUMNS = 200
"""Columns and labels whose errors the page lists, those with the largest; the Parquet file has all."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    label: str
    cells: list[Cell]
    ideal: str = ""
    meaning: str = ""


def write_comparison(folder: Path, comparison: Comparison, reference: Reference, rows: pa.Table) -> None:
    """Write `COMPARISON_TABLE` and `COMPARISON_PAGE`, each whole or not at all.

    Args:
        folder: where to; made where it is not there.
        comparison: families and floors.
        reference: the real rows by which they were judged.
        rows: a table of `comparison.best`, for the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / COMPARISON_TABLE, comparison.table())
    write_page(folder / COMPARISON_PAGE, render(comparison, reference, rows))


def render(comparison: Comparison, reference: Reference, rows: pa.Table) -> str:
    """The page."""
    names = (*comparison.floors, *comparison.families)
    known = [f for f in FIGURES if any(f.key in comparison.figures[name] for name in names)]
    labels = {figure.key: _label(figure, reference) for figure in known}
    template = (files("streamrec.evaluation.synthetic") / "comparison.html").read_text("utf-8")
    return (
        environment()
        .from_string(template)
        .render(
            comparison=comparison,
            reference=reference,
            seeds=sorted({trial.seed for trial in comparison.trials}),
            tiles=[(labels[f.key], _cells(f, comparison), _ideal(f)) for f in known if f.chooses],
            names=names,
            groups={
                group: [
                    Row(labels[f.key], _cells(f, comparison), _ideal(f), f.meaning)
                    for f in known
                    if f.group == group
                ]
                for group in dict.fromkeys(figure.group for figure in known)
            },
            place=names.index(comparison.best),
            costs=_costs(comparison),
            errors={
                "Shape error, %": _column_errors(comparison, lambda errors: errors.shape_error),
                "Trend error, %": _column_errors(comparison, lambda errors: errors.trend_error),
            },
            listed=LISTED_COLUMNS,
            probabilities=[_quantile_name(probability) for probability in PROBABILITIES],
            quantiles=_quantiles(comparison),
            pictures=_pictures(comparison, reference, rows, known, labels),
        )
    )


def _label(figure: Figure, reference: Reference) -> str:
    return figure.label.format(category=reference.category, number=reference.number)


def _ideal(figure: Figure) -> str:
    return f"{figure.ideal:g}" if math.isfinite(figure.ideal) else "less"


def _cell(summary: Summary | None, write: Callable[[float], str], best: bool = False) -> Cell:
    if summary is None:
        return Cell(formats.ABSENT)
    low, high = write(summary.low), write(summary.high)
    return Cell(write(summary.mean), f"{low} – {high}" if low != high else "", best)


def _cells(figure: Figure, comparison: Comparison) -> list[Cell]:
    """Floors, then families; the best are the candidates nearest to the ideal."""
    found = {name: values.get(figure.key) for name, values in comparison.figures.items()}
    gaps = {
        family: figure.gap(summary.mean)
        for family in comparison.candidates
        if (summary := found[family]) is not None
    }
    nearest = min(gaps.values(), default=None)
    return [
        _cell(summary, figure.write, best=name in gaps and gaps[name] == nearest)
        for name, summary in found.items()
    ]


def _costs(comparison: Comparison) -> list[Row]:
    written: dict[str, tuple[str, Callable[[float], str]]] = {
        "training_seconds": ("Training", formats.seconds),
        "sampling_seconds": ("Sampling", formats.seconds),
        "rows_per_second": ("Rows per second", lambda value: formats.number(value, 3)),
        "steps": ("Network evaluations per row", lambda value: formats.number(value, 3)),
    }
    return [
        Row(label, [_cell(comparison.costs[family].get(key), write) for family in comparison.families])
        for key, (label, write) in written.items()
        if any(key in cost for cost in comparison.costs.values())
    ]


def _column_errors(comparison: Comparison, which: Callable[[ColumnErrors], Summary]) -> list[Row]:
    """A row per column or label, the largest errors of the best family first."""
    tables = {family: comparison.columns(family) for family in comparison.families}
    worst = sorted(range(len(tables[comparison.best])), key=lambda i: -which(tables[comparison.best][i]).mean)
    return [
        Row(
            tables[comparison.best][i].column,
            [_cell(which(table[i]), lambda value: f"{100 * value:.2f}") for table in tables.values()],
        )
        for i in worst[:LISTED_COLUMNS]
    ]


def _quantile_name(probability: float) -> str:
    return {0.0: "smallest", 0.5: "median", 1.0: "largest"}.get(probability, f"{probability:.0%}")


@dataclass(frozen=True)
class QuantileRows:
    """A numeric column: its quantiles and its share of missing cells, real and synthetic."""

    column: str
    real: list[str]
    synthetic: list[str]


def _quantiles(comparison: Comparison) -> list[QuantileRows]:
    return [
        QuantileRows(
            found.column,
            _numbers((found.real.get(f"quantile {p:g}") for p in PROBABILITIES), found.real["missing"]),
            _numbers(
                (
                    summary.mean if (summary := found.synthetic.get(f"quantile {p:g}")) else None
                    for p in PROBABILITIES
                ),
                found.synthetic["missing"].mean,
            ),
        )
        for found in comparison.quantiles(comparison.best)
    ]


def _numbers(quantiles: Iterable[float | None], missing: float) -> list[str]:
    return [formats.percent(missing), *map(formats.number, quantiles)]


def _pictures(
    comparison: Comparison,
    reference: Reference,
    rows: pa.Table,
    figures: Sequence[Figure],
    labels: dict[str, str],
) -> dict[str, Markup]:
    real = reference.train_columns
    synthetic = Columns.of(rows, real.schema, train=real)
    by_column: dict[str, list[float]] = {}
    for feature, errors in zip(real.features, comparison.columns(comparison.best), strict=True):
        by_column.setdefault(feature.column, []).append(errors.shape_error.mean)
    drawn = {
        "strips": figure_strips(
            [figure for figure in figures if figure.chooses],
            {family: comparison.figures[family] for family in comparison.families},
            {floor: comparison.figures[floor] for floor in comparison.floors},
            labels,
        ),
        "marginals": marginals(real, synthetic, {n: sum(e) / len(e) for n, e in by_column.items()}),
        "plane": plane(
            reference.train_points[:DRAWN_ROWS],
            reference.space.place(synthetic[:DRAWN_ROWS]),
            _groups(real[:DRAWN_ROWS], reference.category),
            _groups(synthetic[:DRAWN_ROWS], reference.category),
        ),
    }
    if len(real.schema.numeric) > 1:
        drawn["correlations"] = correlation_maps(real, synthetic)
    return {name: Markup(inline_svg(to_svg(figure), name, _DRAWN[name])) for name, figure in drawn.items()}


_DRAWN = {
    "strips": "Figures of each family, with the floors as lines",
    "marginals": "Distributions of columns, synthetic over real",
    "plane": "Training and synthetic rows in the principal plane of the training rows",
    "correlations": "Correlation matrices: synthetic less real, real, synthetic",
}


def _groups(columns: Columns, category: str | None) -> list[str]:
    if category is None:
        return [""] * len(columns)
    index = columns.schema.categorical.index(category)
    names = ["(missing)", "(unseen)", *map(str, columns.category_codecs[index].vocabulary.to_pylist())]
    return [names[code] for code in columns.categories[:, index]]
