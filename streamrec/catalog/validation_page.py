"""`render`: the outcome of a validation as one HTML page that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from streamrec.catalog.checks import Check, ValidationResult
from streamrec.catalog.column_profiles import CategoryProfile, NumericProfile, in_words
from streamrec.catalog.profile import Cell, ColumnProfile, Profile, compare_cells

SHOWN_CATEGORIES = 10
"""Categories or labels whose shares are drawn, those with the largest shares."""

_ROLES = {"numeric": "number", "category": "category", "labels": "labels"}


@dataclass(frozen=True)
class Bar:
    """Share of one bin, category or label, now and in the reference."""

    name: str
    current: float
    reference: float | None


@dataclass(frozen=True)
class ColumnView:
    """What the page shows of a column."""

    name: str
    role: str
    facts: str
    checks: list[Check]
    bars: list[Bar]
    hidden: int
    """Bars left out."""

    @property
    def outcome(self) -> str:
        """`critical`, `warning` or `passed`: the worst of its checks."""
        failed = {check.severity for check in self.checks if not check.success}
        return "critical" if "critical" in failed else "warning" if failed else "passed"

    @property
    def largest(self) -> float:
        """The largest share of the bars, to scale them."""
        shares = [share for bar in self.bars for share in (bar.current, bar.reference or 0.0)]
        return max([*shares, 1e-9])


def render(
    result: ValidationResult, profile: Profile, reference: Profile | None, about: str | None = None
) -> str:
    """The page: counts, failed checks, then every column with its checks and shares.

    `profile` is counted in the reference's bins where there is a reference; columns outside it show their
    checks only. `about` is the sentence below the title; None says what a catalogue is compared with.
    """
    names = dict.fromkeys(check.column for check in result.checks if check.column is not None)
    columns = [_view(name, result, profile, reference) for name in names]
    columns.sort(key=lambda column: ("critical", "warning", "passed").index(column.outcome))
    template = (files("streamrec.catalog") / "validation_page.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return environment.from_string(template).render(
        result=result,
        about=_compared(result) if about is None else about,
        failures=[*result.critical_failures, *result.warnings],
        passed=sum(check.success for check in result.checks),
        table_checks=[check for check in result.checks if check.column is None],
        columns=columns,
    )


def _compared(result: ValidationResult) -> str:
    if result.reference_rows is None:
        return (
            "Nothing published to compare with: ranges, vocabularies and drift are checked from the "
            "second run on."
        )
    return f"Compared with the last published catalogue of {result.reference_rows:,} items."


def _view(name: str, result: ValidationResult, profile: Profile, reference: Profile | None) -> ColumnView:
    checks = [check for check in result.checks if check.column == name]
    checks.sort(key=lambda check: check.success)
    now = profile.columns.get(name)
    if now is None:
        return ColumnView(name, "", "", checks, [], 0)
    then = None if reference is None else reference.columns.get(name)
    bars = _bars(now, then)
    shown = bars
    if not isinstance(now, NumericProfile):
        largest = sorted(bars, key=lambda bar: max(bar.current, bar.reference or 0.0), reverse=True)
        shown = largest[:SHOWN_CATEGORIES]
    return ColumnView(
        name, _ROLES[now.kind], _facts(now, profile.rows), checks, shown, len(bars) - len(shown)
    )


def _bars(now: ColumnProfile, then: ColumnProfile | None) -> list[Bar]:
    if then is not None and then.kind == now.kind:
        cells = compare_cells(now, then)
        before, compared = sum(cell.reference for cell in cells), sum(cell.current for cell in cells)
        unseen = 0 if isinstance(now, NumericProfile) else _total(now) - compared
        cells += [Cell("(not in the reference)", unseen, 0)]
        return [
            Bar(cell.name, cell.current / max(compared + unseen, 1), cell.reference / max(before, 1))
            for cell in cells
            if cell.current or cell.reference
        ]
    if isinstance(now, NumericProfile):
        return []
    return [Bar(name, count / _total(now), None) for name, count in now.counts.items()]


def _total(column: CategoryProfile) -> int:
    return sum(column.counts.values()) + column.other + column.empty + column.missing


def _facts(column: ColumnProfile, rows: int) -> str:
    missing = f"{100 * column.missing / max(rows, 1):.3g}% missing"
    if isinstance(column, NumericProfile):
        extent = (
            "no value"
            if column.minimum is None or column.maximum is None
            else f"{in_words(column.minimum)} to {in_words(column.maximum)}"
        )
        return f"{extent}, {missing}"
    found = sum(count > 0 for count in column.counts.values())
    more = " and more" if column.other else ""
    noun = "values" if column.kind == "category" else "labels"
    return f"{found:,} {noun}{more}, {missing}"
