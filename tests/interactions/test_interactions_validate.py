from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog.checks import Check, ValidationResult
from streamrec.catalog.expectations import Plan
from streamrec.errors import InteractionsError, ValidationFailedError
from streamrec.interactions.expectations import busiest_hours, plan_checks
from streamrec.interactions.ingest import IngestedInteractions
from streamrec.interactions.settings import InteractionsValidationConfig
from streamrec.interactions.validate import validate_interactions

CONFIG = InteractionsValidationConfig()
NOW = datetime(2020, 1, 1, tzinfo=UTC)
START = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp())
ITEMS = pa.array([f"i{n}" for n in range(50)])
HOUR = 3_600


def sound(rows: int = 3_000) -> dict[str, list[object]]:
    """An event an hour for two thirds of a year, by 150 users in turn, with items in turn."""
    return {
        "user": [f"u{n % 150}" for n in range(rows)],
        "item": [f"i{n % 50}" for n in range(rows)],
        "weight": [1.0] * rows,
        "time": [START + n * HOUR for n in range(rows)],
    }


def table(columns: dict[str, list[object]]) -> pa.Table:
    seconds = pa.array(columns["time"], pa.int64())
    return pa.table(
        {
            "user": columns["user"],
            "item": columns["item"],
            "weight": pa.array(columns["weight"], pa.float32()),
            "time": seconds.cast(pa.timestamp("s")).cast(pa.timestamp("us")),
        }
    )


def validate(
    folder: Path, columns: dict[str, list[object]], ingested: IngestedInteractions | None = None
) -> ValidationResult:
    pq.write_table(table(columns), folder / "events.parquet")
    path = folder / "events.parquet"
    return validate_interactions(path, ITEMS, CONFIG, folder / "checks", ingested, NOW)


def found(plan: Plan, check: str, column: str | None) -> tuple[bool, str]:
    """Whether a measure is within its limit, and what it says."""
    (only,) = (e for e in plan.expectations if (e.check, e.column) == (check, column))
    assert only.observed is not None
    value, most, least = (
        plan.measures[only.settings["column"]],
        only.settings["max_value"],
        only.settings.get("min_value"),
    )
    assert not isinstance(value, str)
    return (most is None or value <= most) and (least is None or value >= least), only.observed


def plan(columns: dict[str, list[object]], **settings: float) -> Plan:
    config = InteractionsValidationConfig.model_validate(settings)
    return plan_checks(table(columns), ITEMS, config, NOW)


def failed(result: ValidationResult) -> set[tuple[str, str | None, str]]:
    return {(c.name, c.column, c.severity) for c in result.checks if not c.success}


def test_sound_events_pass_every_check_and_the_outcome_is_written(tmp_path: Path) -> None:
    result = validate(tmp_path, sound())
    assert failed(result) == set()
    assert {(c.name, c.column) for c in result.checks} == {
        ("row_count", None),
        ("duplicates", None),
        ("present", "user"),
        ("user_share", "user"),
        ("bots", "user"),
        ("present", "item"),
        ("known", "item"),
        ("finite", "weight"),
        ("future", "time"),
    }
    assert result.sampled_rows == result.rows == 3_000
    written = json.loads(result.files["result"].read_text())
    assert written["success"]
    assert len(written["great_expectations"]["measures"]) == len(result.checks)
    page = result.files["summary"].read_text()
    assert "Events checked against a catalogue of 50 items." in page
    assert "seeded sample" not in page
    assert result.files["data_docs"].is_file()


def test_what_is_wrong_is_found_with_its_severity(tmp_path: Path) -> None:
    columns = sound()
    for name, value in (("item", "other"), ("user", None), ("weight", float("inf"))):
        columns[name][7] = value
    columns["time"][-10:] = [int(NOW.timestamp()) + 3 * 86_400] * 10
    for column in columns.values():
        column.extend(column[100:101] * 1_100)
    ingested = IngestedInteractions(Path(), 4_000, None, 5_000, 1_000, 0, {"unknown_item": 1_000})
    result = validate(tmp_path, columns, ingested)
    assert failed(result) == {
        ("present", "user", "critical"),
        ("known", "item", "critical"),
        ("finite", "weight", "critical"),
        ("duplicates", None, "warning"),
        ("user_share", "user", "warning"),
        ("bots", "user", "warning"),
        ("left_out", "item", "warning"),
        ("future", "time", "critical"),
    }
    said = {(c.name, c.column): c for c in result.checks}
    assert said["known", "item"].observed == "1 events with others, as 'other'"
    assert said["left_out", "item"].observed == "1,000 of 5,000 (20%), left out"
    assert isinstance(said["bots", "user"], Check)
    with pytest.raises(ValidationFailedError, match=r"events.parquet: column 'user': present"):
        result.raise_for_critical()


def test_events_without_times_are_not_judged_by_them() -> None:
    columns = {**sound(), "time": [None] * 3_000}
    checks = {e.check for e in plan(columns).expectations}
    assert not checks & {"future", "bots"}


@pytest.mark.parametrize(("late", "passes"), [(3, True), (4, False)])
def test_a_few_wrong_clocks_are_tolerated(late: int, passes: bool) -> None:
    columns = sound()
    columns["time"][-late:] = [int(NOW.timestamp()) + 25 * HOUR] * late
    within, words = found(plan(columns), "future", "time")
    assert within is passes
    assert words.startswith(f"{late} (")
    assert words.endswith("the last at 2020-01-02T01:00:00")


def test_times_within_a_day_from_now_are_no_future() -> None:
    columns = sound()
    columns["time"][-1] = int(NOW.timestamp()) + 24 * HOUR
    assert found(plan(columns, max_future=0), "future", "time") == (
        True,
        "none, the last at 2020-01-02T00:00:00",
    )


def test_a_repeated_event_is_one_of_the_same_user_item_and_time() -> None:
    columns = sound(100)
    for name, column in columns.items():
        column.extend(column[:3])
        for place, other in enumerate(("user", "item", "time")):
            if name == other:
                column[100 + place] = {"user": "u9", "item": "i9", "time": START + 5}[other]
    assert found(plan(columns), "duplicates", None) == (True, "all different")
    for column in columns.values():
        column.append(column[50])
    assert found(plan(columns, max_duplicates=0.005), "duplicates", None) == (False, "1 repeated (0.962%)")


def test_a_machine_is_told_by_its_hour_and_not_by_its_number_of_events() -> None:
    steady, fast = sound(1_200), sound(1_200)
    steady["user"] = fast["user"] = ["reader"] * 1_200
    fast["time"] = [START + 3 * n for n in range(1_200)]
    assert found(plan(steady), "bots", "user") == (True, "1, by 'reader'")
    assert found(plan(fast), "bots", "user") == (False, "1,200, by 'reader'")


def test_the_number_of_machines_and_their_share_are_told() -> None:
    columns = sound(1_000)
    columns["user"][:200] = ["one"] * 120 + ["two"] * 80
    columns["time"][:200] = [START + n for n in range(200)]
    within, words = found(plan(columns, max_user_hour=50), "bots", "user")
    assert not within
    assert words == "120, by 'one'; 2 users with more, who made 20%"


def test_a_user_with_a_large_share_of_the_events_is_named_unless_users_are_few() -> None:
    columns = sound()
    columns["user"][::4] = ["u1"] * 750
    within, words = found(plan(columns), "user_share", "user")
    assert not within
    assert "with 'u1'" in words
    few = {**columns, "user": [f"u{n % 10}" for n in range(3_000)]}
    assert "user_share" not in {e.check for e in plan(few).expectations}


def test_too_few_events_are_critical() -> None:
    assert found(plan(sound(9), min_rows=10), "row_count", None) == (False, "9 events")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20_000)), min_size=1, max_size=80))
def test_the_busiest_hours_are_those_counted_one_by_one(rows: list[tuple[int, int]]) -> None:
    rows.sort()
    expected = [
        sum(user == other and time <= later < time + HOUR for other, later in rows[place:])
        for place, (user, time) in enumerate(rows)
    ]
    users, seconds = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    assert busiest_hours(users, seconds).tolist() == expected


def test_a_file_that_holds_no_events_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1]}), tmp_path / "x.parquet")
    with pytest.raises(InteractionsError, match=r"x.parquet: not a file of events"):
        validate_interactions(tmp_path / "x.parquet", ITEMS, CONFIG, tmp_path)
