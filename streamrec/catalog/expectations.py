"""What is expected of a catalogue, and what is measured to see it: the list that `validate` runs.

A fact about single cells or the whole file (types, ids, infinite numbers, ranges, row counts, drift) is
measured on every row with Arrow. A share with a tolerance (missing cells, unseen categories) is left to
Great Expectations on a seeded sample, where it takes seconds and not minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamrec.catalog.checks import Severity
from streamrec.catalog.column_profiles import CategoryProfile, NumericProfile, in_words
from streamrec.catalog.profile import ColumnProfile, Profile, compare_cells, kl_divergence, unseen_share
from streamrec.catalog.table import Catalog
from streamrec.config import ValidationConfig
from streamrec.schema import FeatureSchema

RANGE_MARGIN = 0.5
"""A number may leave the reference's range by this share of its width on either side."""

Frame = Literal["sample", "extremes", "measures"]


@dataclass(frozen=True)
class Expectation:
    """One check and the Great Expectations expectation that decides it."""

    check: str
    column: str | None
    severity: Severity
    frame: Frame
    """The table it runs on."""
    type: str
    """Class of `great_expectations.expectations`."""
    settings: dict[str, Any]
    """Its arguments."""
    expected: str
    observed: str | None = None
    """What was measured, in words; None: what the expectation reports is put in words."""


@dataclass
class Plan:
    """Expectations about a catalogue and the three tables they run on."""

    expectations: list[Expectation] = field(default_factory=list)
    sample: pa.Table = field(default_factory=lambda: pa.table({}))
    """Seeded sample of the rows: categories as text, multi-labels as their number of labels."""
    extremes: dict[str, list[float]] = field(default_factory=dict)
    """Smallest and largest finite value of each number, over all rows."""
    measures: dict[str, float | str] = field(default_factory=dict)
    """One row: a measure over all rows per column."""

    def expect(
        self,
        check: str,
        column: str | None,
        frame: Frame,
        type: str,
        settings: dict[str, Any],
        expected: str,
        observed: str | None = None,
        severity: Severity = "critical",
    ) -> None:
        """Add an expectation."""
        self.expectations.append(
            Expectation(check, column, severity, frame, type, settings, expected, observed)
        )

    def measure(
        self,
        check: str,
        column: str | None,
        value: float,
        most: float,
        expected: str,
        observed: str,
        severity: Severity = "critical",
    ) -> None:
        """Expect a measure of all rows to be at most `most`."""
        name = check if column is None else f"{check}: {column}"
        self.measures[name] = value
        settings = {"column": name, "max_value": most}
        self.expect(
            check, column, "measures", "ExpectColumnMaxToBeBetween", settings, expected, observed, severity
        )


def plan_checks(
    catalog: Catalog,
    config: ValidationConfig,
    reference: Profile | None,
    seed: int,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[Plan, Profile]:
    """Measure the catalogue and list what is expected of it.

    A column that is absent, or of a type its role does not allow, is checked no further.

    Returns:
        The plan, and the profile of the feature columns that could be read, in the reference's bins.
    """
    plan, schema, found = Plan(), catalog.schema, pq.read_schema(catalog.path)
    present = [name for name in schema.columns if name in found.names]
    types, allowed = {name: type_name(found.field(name).type) for name in present}, _allowed_types(schema)
    sound = [name for name in present if types[name] in allowed[name]]
    profile = Profile.of(catalog, like=reference, columns=sound, seed=seed, progress=progress)
    plan.sample = _prepare(catalog.sample(config.sample_rows, seed, present), schema, sound)
    _expect_columns(plan, schema, present)
    _expect_rows(plan, catalog.num_rows, config, reference)
    for name in present:
        plan.measures[f"type: {name}"] = types[name]
        kind = "ExpectColumnMostCommonValueToBeInSet"
        settings = {"column": f"type: {name}", "value_set": list(allowed[name])}
        expected = " or ".join(allowed[name])
        plan.expect("type", name, "measures", kind, settings, expected, types[name])
        if name == schema.item_id and name in sound:
            _expect_ids(plan, name, catalog.table([name])[name])
        if name in profile.columns:
            _expect_share_missing(plan, name, config)
            if types[name] == "double":
                _expect_finite(plan, name, profile.columns[name])
            if reference is not None:
                _expect_as_before(plan, name, profile, reference, config)
    return plan, profile


def type_name(kind: pa.DataType) -> str:
    """Name of an Arrow type, `list<string>` whatever the list's items are called."""
    return f"list<{type_name(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)


def _allowed_types(schema: FeatureSchema) -> dict[str, tuple[str, ...]]:
    """The canonical types of each column's role (see `Catalog`)."""
    timestamps = () if schema.timestamp is None else (schema.timestamp,)
    roles = [
        ((schema.item_id,), ("string", "int64")),
        (schema.categorical, ("string", "int64", "bool")),
        (schema.multi_label_names, ("list<string>",)),
        (schema.numeric, ("double", "int64", "bool")),
        (timestamps, ("timestamp[us]",)),
        (schema.display, ("string",)),
    ]
    return {name: types for names, types in roles for name in names}


def _prepare(sample: pa.Table, schema: FeatureSchema, sound: list[str]) -> pa.Table:
    for index, name in enumerate(sample.column_names):
        if name in sound and name in schema.categorical:
            sample = sample.set_column(index, name, pc.cast(sample[name], pa.string()))
        elif name in sound and name in schema.multi_label_names:
            sample = sample.set_column(index, name, pc.list_value_length(sample[name]))
    return sample


def _expect_columns(plan: Plan, schema: FeatureSchema, present: list[str]) -> None:
    absent = ", ".join(name for name in schema.columns if name not in present)
    settings = {"column_set": list(schema.columns), "exact_match": False}
    observed = f"no column {absent}" if absent else "all of them"
    expected = f"the schema's {len(schema.columns)} columns"
    plan.expect("columns", None, "sample", "ExpectTableColumnsToMatchSet", settings, expected, observed)


def _expect_rows(plan: Plan, rows: int, config: ValidationConfig, reference: Profile | None) -> None:
    plan.measures["row_count"] = rows
    settings = {"column": "row_count", "min_value": config.min_rows, "max_value": config.max_rows}
    expected = f"{config.min_rows:,} or more rows"
    if config.max_rows is not None:
        expected = f"{config.min_rows:,} to {config.max_rows:,} rows"
    kind, observed = "ExpectColumnMaxToBeBetween", f"{rows:,} rows"
    plan.expect("row_count", None, "measures", kind, settings, expected, observed)
    if reference is not None and reference.rows:
        change, most = rows / reference.rows - 1, config.max_row_count_change
        expected = f"at most {_percent(most)} from the reference's {reference.rows:,} rows"
        observed = f"{rows:,} rows, {change:+.1%}"
        plan.measure("row_count_change", None, abs(change), most, expected, observed)


def _expect_ids(plan: Plan, name: str, ids: pa.ChunkedArray) -> None:
    missing = ids.null_count
    observed = f"{missing:,} missing" if missing else "one in every row"
    plan.measure("present", name, missing, 0, "an id in every row", observed)
    repeats, observed = len(ids) - missing - pc.count_distinct(ids).as_py(), "all different"
    if repeats:
        tally = ids.drop_null().value_counts()
        example = tally.filter(pc.greater(tally.field("counts"), 1))[0].as_py()
        observed = f"{repeats:,} repeated, as {example['values']!r} ({example['counts']:,} times)"
    plan.measure("unique", name, repeats, 0, "every id once", observed)


def _expect_share_missing(plan: Plan, name: str, config: ValidationConfig) -> None:
    settings = {"column": name, "mostly": 1 - config.max_null_share}
    expected = f"at most {_percent(config.max_null_share)} missing"
    plan.expect("missing", name, "sample", "ExpectColumnValuesToNotBeNull", settings, expected)


def _expect_finite(plan: Plan, name: str, column: ColumnProfile) -> None:
    bad = column.not_finite if isinstance(column, NumericProfile) else 0
    observed = f"{bad:,} NaN or infinite" if bad else "all finite"
    plan.measure("finite", name, bad, 0, "every number finite", observed)


def _expect_as_before(
    plan: Plan, name: str, profile: Profile, reference: Profile, config: ValidationConfig
) -> None:
    now, then = profile.columns[name], reference.columns.get(name)
    if then is None or then.kind != now.kind:
        return
    if isinstance(now, NumericProfile) and isinstance(then, NumericProfile):
        _expect_range(plan, name, now, then)
    elif isinstance(now, CategoryProfile) and isinstance(then, CategoryProfile) and then.counts:
        _expect_known(plan, name, now, then, config)
    nats, most = kl_divergence(compare_cells(now, then)), config.max_drift
    expected = f"at most {most:.4g} nats from the reference"
    severity: Severity = "critical" if config.drift_is_critical else "warning"
    plan.measure("drift", name, nats, most, expected, f"{nats:.3f} nats", severity)


def _expect_range(plan: Plan, name: str, now: NumericProfile, then: NumericProfile) -> None:
    if now.minimum is None or now.maximum is None or then.minimum is None or then.maximum is None:
        return
    margin = RANGE_MARGIN * ((then.maximum - then.minimum) or abs(then.maximum) or 1.0)
    low = max(then.minimum - margin, -sys.float_info.max)
    high = min(then.maximum + margin, sys.float_info.max)
    plan.extremes[name] = [now.minimum, now.maximum]
    settings = {"column": name, "min_value": low, "max_value": high}
    expected, observed = (
        f"{in_words(a)} to {in_words(b)}" for a, b in ((low, high), (now.minimum, now.maximum))
    )
    kind = "ExpectColumnValuesToBeBetween"
    plan.expect("range", name, "extremes", kind, settings, expected, observed, "warning")


def _expect_known(
    plan: Plan, name: str, now: CategoryProfile, then: CategoryProfile, config: ValidationConfig
) -> None:
    expected = f"at most {_percent(config.max_unseen_share)} unseen by the reference"
    if now.kind == "labels":
        share, most = unseen_share(now, then), config.max_unseen_share
        plan.measure("vocabulary", name, share, most, expected, f"{_percent(share)} unseen", "warning")
        return
    unnamed = then.other / (sum(then.counts.values()) + then.other)
    mostly = max(1 - config.max_unseen_share - unnamed, 0.0)
    settings = {"column": name, "value_set": list(then.counts), "mostly": mostly}
    kind = "ExpectColumnValuesToBeInSet"
    plan.expect("vocabulary", name, "sample", kind, settings, expected, severity="warning")


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
