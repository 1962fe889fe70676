"""`Comparison`: families of augmenters side by side, which is best and why, and all of it as one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.marginals import PROBABILITIES
from streamrec.evaluation.synthetic.suite import HOLDOUT, SyntheticQuality

REAL = "training rows"
"""Family of the real quantiles in the table."""
QUANTILES = tuple(f"quantile {probability:g}" for probability in PROBABILITIES)
"""Their names in the table."""
MOST_COPIED = 0.01
"""Share of exact copies, beyond the real holdout's, above which a family is not chosen."""
MOST_MEMBERSHIP = 0.6
"""Membership AUC above which a family is not chosen."""


@dataclass(frozen=True)
class Trial:
    """One table of one family."""

    family: str
    seed: int
    quality: SyntheticQuality
    training_seconds: float
    sampling_seconds: float
    """For `quality.rows` rows."""
    steps: int | None = None
    """Network evaluations that a row takes; None where it takes no such steps."""


Trials = list[Trial]
"""Those of one family, one per seed."""


@dataclass(frozen=True)
class Summary:
    """A number over seeds."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Mean and range of at least one value."""
        return cls(float(np.mean(values)), float(min(values)), float(max(values)), len(values))


@dataclass(frozen=True)
class ColumnErrors:
    """Errors of one column or label of a family."""

    column: str
    kind: str
    shape_error: Summary
    trend_error: Summary
    """Mean over the column's pairs."""


@dataclass(frozen=True)
class ColumnQuantiles:
    """One numeric column: numbers by name, those of `QUANTILES` and `missing`, the share of missing cells."""

    column: str
    real: dict[str, float]
    synthetic: dict[str, Summary]


@dataclass(frozen=True)
class Comparison:
    """Families over seeds, beside tables that need no model."""

    trials: Sequence[Trial]
    floors: Mapping[str, Sequence[SyntheticQuality]]
    """Qualities of each floor by name, one per seed, as `suite.floors` gives them."""

    def __post_init__(self) -> None:
        if not self.trials:
            raise CatalogError("comparison: found no trial, expected at least one family's table")
        both = set(self.floors) & {trial.family for trial in self.trials}
        if both:
            raise CatalogError(
                f"comparison: found a family and a floor named '{min(both)}', expected different names; "
                "rename the family"
            )

    @cached_property
    def families(self) -> tuple[str, ...]:
        """In the order in which they were tried."""
        return tuple(dict.fromkeys(trial.family for trial in self.trials))

    @cached_property
    def figures(self) -> dict[str, dict[str, Summary]]:
        """By floor or family, floors first, and `Figure.key`; a figure without meaning is not there."""
        qualities = {**self.floors}
        qualities |= {family: [trial.quality for trial in self._of(family)] for family in self.families}
        return {name: _summaries(quality.figures for quality in found) for name, found in qualities.items()}

    @cached_property
    def costs(self) -> dict[str, dict[str, Summary]]:
        """By family: `training_seconds`, `sampling_seconds`, `rows_per_second` and, where known, `steps`."""
        return {family: _summaries(map(_cost, self._of(family))) for family in self.families}

    @cached_property
    def mean_ranks(self) -> dict[str, float]:
        """By family: its rank, 1 is best, averaged over the figures that choose and that every family has.

        A figure ranks by the distance of its mean from the ideal, at the precision with which it is written;
        families equally far share the mean of their ranks (Demšar 2006).
        """
        ranks: dict[str, list[float]] = {family: [] for family in self.families}
        for figure in FIGURES:
            if figure.chooses and all(figure.key in self.figures[family] for family in self.families):
                gaps = {f: figure.gap(self.figures[f][figure.key].mean) for f in self.families}
                for family, gap in gaps.items():
                    nearer = sum(other < gap for other in gaps.values())
                    equal = sum(other == gap for other in gaps.values())
                    ranks[family].append(nearer + (equal + 1) / 2)
        return {family: float(np.mean(found)) for family, found in ranks.items()}

    @cached_property
    def leaks(self) -> dict[str, str]:
        """Families that give training rows away, and how: copies would win by the other figures."""
        holdout = self.figures.get(HOLDOUT, {}).get("copied_share")
        by_chance = 0.0 if holdout is None else holdout.mean
        found: dict[str, list[str]] = {}
        for family in self.families:
            copied, member = (self.figures[family][key].mean for key in ("copied_share", "membership_auc"))
            if copied > by_chance + MOST_COPIED:
                found.setdefault(family, []).append(f"{copied:.1%} of its rows are copies")
            if member > MOST_MEMBERSHIP:
                found.setdefault(family, []).append(f"membership shows with an AUC of {member:.3f}")
        return {family: ", ".join(reasons) for family, reasons in found.items()}

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """The families that do not leak; all where all do."""
        return tuple(family for family in self.families if family not in self.leaks) or self.families

    @cached_property
    def best(self) -> str:
        """The candidate of the lowest mean rank; of several the one tried first."""
        return min(self.candidates, key=lambda family: self.mean_ranks[family])

    def columns(self, family: str) -> list[ColumnErrors]:
        """Errors of each column or label of a family."""
        tables = [trial.quality.columns for trial in self._of(family)]
        return [
            ColumnErrors(
                cells[0]["column"],
                cells[0]["kind"],
                Summary.of([cell["shape_error"] for cell in cells]),
                Summary.of([cell["trend_error"] for cell in cells]),
            )
            for cells in zip(*tables, strict=True)
        ]

    def quantiles(self, family: str) -> list[ColumnQuantiles]:
        """Quantiles and share missing of each numeric column of a family."""
        tables = [trial.quality.quantiles for trial in self._of(family)]
        return [
            ColumnQuantiles(
                cells[0]["column"],
                _quantiles(cells[0], "real"),
                _summaries(_quantiles(cell, "synthetic") for cell in cells),
            )
            for cells in zip(*tables, strict=True)
        ]

    def table(self) -> pa.Table:
        """Every number, a row each: `part`, `family`, `column`, `measure`, `mean`, `low`, `high`, `seeds`.

        Parts are `figures`, `costs`, `ranks`, `columns` and `quantiles`; `column` is null in the first three.
        """
        schema = pa.schema(
            [
                *((name, pa.string()) for name in ("part", "family", "column", "measure")),
                *((name, pa.float64()) for name in ("mean", "low", "high")),
                ("seeds", pa.int64()),
            ]
        )
        rows = [
            (part, family, column, measure, found.mean, found.low, found.high, found.seeds)
            for part, family, column, measure, found in self._numbers()
        ]
        return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)

    def _numbers(self) -> Iterator[tuple[str, str, str | None, str, Summary]]:
        for part, by_family in (("figures", self.figures), ("costs", self.costs)):
            for family, summaries in by_family.items():
                for measure, summary in summaries.items():
                    yield part, family, None, measure, summary
        for family, rank in self.mean_ranks.items():
            yield "ranks", family, None, "mean_rank", Summary.of([rank])
        for family in self.families:
            for column in self.columns(family):
                yield "columns", family, column.column, "shape_error", column.shape_error
                yield "columns", family, column.column, "trend_error", column.trend_error
            for found in self.quantiles(family):
                for measure, summary in found.synthetic.items():
                    yield "quantiles", family, found.column, measure, summary
        for found in self.quantiles(self.best):
            for measure, value in found.real.items():
                yield "quantiles", REAL, found.column, measure, Summary.of([value])

    def _of(self, family: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.family == family]


def _cost(trial: Trial) -> dict[str, float]:
    cost = {
        "training_seconds": trial.training_seconds,
        "sampling_seconds": trial.sampling_seconds,
        "rows_per_second": trial.quality.rows / max(trial.sampling_seconds, 1e-9),
    }
    return cost if trial.steps is None else {**cost, "steps": trial.steps}


def _quantiles(cell: Mapping[str, Any], side: str) -> dict[str, float]:
    found = dict(zip(QUANTILES, cell[side] or (), strict=False))
    return {**found, "missing": cell[f"{side}_missing"]}


def _summaries(found: Iterable[Mapping[str, float]]) -> dict[str, Summary]:
    """A summary of each name over the mappings that have it, names in order of appearance."""
    values: dict[str, list[float]] = {}
    for numbers in found:
        for name, value in numbers.items():
            values.setdefault(name, []).append(value)
    return {name: Summary.of(numbers) for name, numbers in values.items()}
