from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from streamrec.catalog.checks import ValidationResult
from streamrec.catalog.profile import Profile
from streamrec.catalog.table import Catalog
from streamrec.catalog.validate import validate
from streamrec.config import ValidationConfig
from streamrec.errors import ValidationFailedError
from streamrec.schema import FeatureSchema

ROWS = 2_000
SCHEMA = FeatureSchema.model_validate(
    {
        "item_id": "item_id",
        "categorical": ["genre", "season", "active"],
        "multi_label": ["tags"],
        "numeric": ["price", "length", "live"],
        "timestamp": "added",
        "display": ["title"],
    }
)
CONFIG = ValidationConfig()

Edit = Callable[[pa.Table], pa.Table]


def items(seed: int, rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(seed)

    def some_missing() -> np.ndarray:
        return rng.random(rows) < 0.1

    names = np.array(["drama", "news", "sport", "music"])
    tags = [
        [tag for tag, kept in zip("abc", row, strict=True) if kept] for row in rng.random((rows, 3)) < 0.4
    ]
    return pa.table(
        {
            "item_id": pa.array([f"item {i}" for i in range(rows)]),
            "genre": pa.array(names[rng.integers(4, size=rows)], mask=some_missing()),
            "season": pa.array(rng.integers(1, 5, size=rows), mask=some_missing()),
            "active": pa.array(rng.random(rows) < 0.5),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "price": pa.array(np.where(rng.random(rows) < 0.3, 0.0, rng.random(rows)), mask=some_missing()),
            "length": pa.array(rng.integers(0, 100, size=rows)),
            "live": pa.array(rng.random(rows) < 0.2),
            "added": pa.array(rng.integers(0, 10**15, size=rows), pa.timestamp("us")),
            "title": pa.array(["A title"] * rows),
        }
    )


def replace(name: str, change: Callable[[pa.ChunkedArray], object]) -> Edit:
    def edit(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index(name), name, change(table[name]))

    return edit


def cells(name: str, **at: object) -> Edit:
    """Put `value` into the rows from `start` to `stop`."""

    def change(column: pa.ChunkedArray) -> pa.Array:
        values = column.to_pylist()
        values[at["start"] : at["stop"]] = [at["value"]] * (at["stop"] - at["start"])  # type: ignore[operator, misc]
        return pa.array(values, column.type)

    return replace(name, change)


def run(
    folder: Path, table: pa.Table, reference: Profile | None = None, config: ValidationConfig = CONFIG
) -> ValidationResult:
    pq.write_table(items(0, 1), folder / "items.parquet")
    catalog = Catalog(folder / "items.parquet", SCHEMA)  # so that it opens whatever the table lacks
    pq.write_table(table, catalog.path)
    return validate(catalog, config, folder / "validation", reference, seed=0)


def failed(result: ValidationResult) -> set[tuple[str, str | None, str]]:
    return {(c.name, c.column, c.severity) for c in result.checks if not c.success}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = tmp_path_factory.mktemp("reference") / "items.parquet"
    pq.write_table(items(1), path)
    return Profile.of(Catalog(path, SCHEMA))


def test_good_table_passes_every_check(tmp_path: Path, reference: Profile) -> None:
    result = run(tmp_path, items(2), reference)
    assert failed(result) == set()
    assert result.success
    assert {check.name for check in result.checks} == {
        "columns",
        "row_count",
        "row_count_change",
        "type",
        "present",
        "unique",
        "missing",
        "finite",
        "range",
        "vocabulary",
        "drift",
    }
    result.raise_for_critical()


@pytest.mark.parametrize(
    ("edit", "check", "column", "observed"),
    [
        (cells("item_id", start=1, stop=4, value="item 0"), "unique", "item_id", "3 repeated, as 'item 0'"),
        (cells("item_id", start=1, stop=2, value=None), "present", "item_id", "1 missing"),
        (cells("price", start=7, stop=8, value=float("inf")), "finite", "price", "1 NaN or infinite"),
        (cells("price", start=7, stop=9, value=float("nan")), "finite", "price", "2 NaN or infinite"),
        (replace("price", lambda c: pc.cast(c, pa.string())), "type", "price", "string"),
        (replace("price", lambda c: pc.cast(c, pa.float32())), "type", "price", "float"),
        (replace("item_id", lambda c: pa.array(np.arange(len(c), dtype=float))), "type", "item_id", "double"),
        (replace("tags", lambda c: pa.array(["a"] * len(c))), "type", "tags", "string"),
        (replace("added", lambda c: pc.cast(c, pa.int64())), "type", "added", "int64"),
        (replace("title", lambda c: pa.array(range(len(c)))), "type", "title", "int64"),
        (lambda table: table.drop_columns("genre"), "columns", None, "no column genre"),
        (lambda table: table.drop_columns("item_id"), "columns", None, "no column item_id"),
        (cells("genre", start=0, stop=1_950, value=None), "missing", "genre", "% missing"),
        (cells("tags", start=0, stop=1_950, value=None), "missing", "tags", "97.5% missing"),
        (cells("length", start=0, stop=2_000, value=None), "missing", "length", "100% missing"),
        (lambda table: table.slice(0, 0), "row_count", None, "0 rows"),
    ],
)
def test_broken_table_fails_exactly_one_check(
    tmp_path: Path, edit: Edit, check: str, column: str | None, observed: str
) -> None:
    result = run(tmp_path, edit(items(2)))
    assert failed(result) == {(check, column, "critical")}
    (found,) = result.critical_failures
    assert observed in found.observed
    with pytest.raises(ValidationFailedError) as caught:
        result.raise_for_critical()
    message = str(caught.value)
    assert "\n" not in message
    for part in [str(tmp_path / "items.parquet"), column or "table", found.expected, found.observed]:
        assert part in message


@pytest.mark.parametrize(
    ("edit", "check", "column", "severity"),
    [
        (lambda table: table.slice(0, 900), "row_count_change", None, "critical"),
        (cells("genre", start=0, stop=400, value="podcast"), "vocabulary", "genre", "warning"),
        (cells("season", start=0, stop=400, value=9), "vocabulary", "season", "warning"),
        (cells("tags", start=0, stop=600, value=["new"]), "vocabulary", "tags", "warning"),
        (cells("price", start=5, stop=6, value=1e9), "range", "price", "warning"),
        (cells("length", start=5, stop=6, value=-1_000), "range", "length", "warning"),
        (replace("price", lambda c: pc.power(c, 8)), "drift", "price", "warning"),
        (cells("genre", start=0, stop=1_600, value="news"), "drift", "genre", "warning"),
        (cells("genre", start=0, stop=1_500, value=None), "drift", "genre", "warning"),
        (cells("tags", start=0, stop=1_800, value=["c"]), "drift", "tags", "warning"),
        (cells("live", start=0, stop=1_800, value=True), "drift", "live", "warning"),
    ],
)
def test_change_since_the_reference_fails_exactly_one_check(
    tmp_path: Path, reference: Profile, edit: Edit, check: str, column: str | None, severity: str
) -> None:
    result = run(tmp_path, edit(items(2)), reference)
    assert failed(result) == {(check, column, severity)}
    assert result.success == (severity == "warning")


def test_row_count_stays_between_its_bounds(tmp_path: Path) -> None:
    for bounds in [{"min_rows": ROWS + 1}, {"max_rows": ROWS - 1}]:
        result = run(tmp_path, items(2), config=ValidationConfig(**bounds))
        assert failed(result) == {("row_count", None, "critical")}
    assert run(tmp_path, items(2), config=ValidationConfig(min_rows=ROWS, max_rows=ROWS)).success


def test_drift_stops_the_run_where_the_settings_say_so(tmp_path: Path, reference: Profile) -> None:
    table = replace("price", lambda c: pc.power(c, 8))(items(2))
    result = run(tmp_path, table, reference, ValidationConfig(drift_is_critical=True))
    assert failed(result) == {("drift", "price", "critical")}


def test_unseen_categories_are_named(tmp_path: Path, reference: Profile) -> None:
    table = cells("genre", start=0, stop=400, value="podcast")(items(2))
    (warning,) = run(tmp_path, table, reference).warnings
    percent = 100 * 400 / (ROWS - table["genre"].null_count)
    assert warning.observed == f"{percent:.3g}% unseen, as 'podcast'"


def test_faults_in_rows_that_the_sample_misses_are_found(tmp_path: Path, reference: Profile) -> None:
    table = cells("price", start=1_999, stop=2_000, value=float("inf"))(items(2))
    table = cells("item_id", start=1_998, stop=1_999, value="item 0")(table)
    table = cells("length", start=1_997, stop=1_998, value=10**9)(table)
    for seed in range(3):
        pq.write_table(table, tmp_path / "items.parquet")
        catalog = Catalog(tmp_path / "items.parquet", SCHEMA)
        result = validate(catalog, ValidationConfig(sample_rows=1_000), tmp_path / "out", reference, seed)
        assert (result.rows, result.sampled_rows) == (ROWS, 1_000)
        assert {c[:2] for c in failed(result)} == {
            ("finite", "price"),
            ("unique", "item_id"),
            ("range", "length"),
        }


def test_same_seed_gives_the_same_checks(tmp_path: Path, reference: Profile) -> None:
    config = ValidationConfig(sample_rows=1_000)
    first, second = (run(tmp_path, items(3), reference, config).checks for _ in range(2))
    assert first == second


def test_every_fault_of_a_table_is_reported_and_the_first_are_named(tmp_path: Path) -> None:
    table = cells("item_id", start=1, stop=3, value="item 0")(items(2))
    table = replace("title", lambda c: pa.array(range(len(c))))(table.drop_columns(["genre"]))
    for name in ("price", "length"):
        table = replace(name, lambda c: pc.cast(c, pa.string()))(table)
    result = run(tmp_path, table)
    assert len(result.critical_failures) == 5
    with pytest.raises(
        ValidationFailedError, match=r"genre.*item_id.*price.*and 2 more; see .*summary\.html"
    ):
        result.raise_for_critical()


def test_files_hold_the_outcome(tmp_path: Path, reference: Profile) -> None:
    result = run(tmp_path, cells("price", start=1, stop=2, value=float("nan"))(items(2)), reference)
    written = json.loads(result.files["result"].read_text(), parse_constant=pytest.fail)
    assert written["success"] is False
    assert [check["success"] for check in written["checks"]] == [check.success for check in result.checks]
    frames = written["great_expectations"]
    assert sum(len(frame) for frame in frames.values()) == len(result.checks)
    assert all(not item["exception_info"]["raised_exception"] for frame in frames.values() for item in frame)
    assert "price" in result.files["summary"].read_text()
    pages = list(result.files["data_docs"].parent.rglob("*.html"))
    assert len(pages) == 7  # the index, and the suite and the result of each of the three tables


def test_empty_table_is_reported_without_nan(tmp_path: Path, reference: Profile) -> None:
    result = run(tmp_path, items(2).slice(0, 0), reference)
    assert {c[0] for c in failed(result)} == {"row_count", "row_count_change"}
    json.loads(result.files["result"].read_text(), parse_constant=pytest.fail)


def test_unwritable_data_docs_leave_the_outcome_and_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "data_docs").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        result = run(tmp_path, items(2))
    assert result.success
    assert "data_docs" not in result.files
    assert "Data Docs could not be built" in result.notes[0]
    assert result.notes[0] in result.files["summary"].read_text().replace("&#39;", "'")
    assert "Data Docs could not be built" in caplog.text


def test_odd_names_and_values_are_only_text(tmp_path: Path) -> None:
    names = ["a b", "c.d", "$HOME", "${e}", "type: x", "<i>"]
    values = ["$HOME", "${USER}", "{{ 1 }}", "%s", "", " "]
    table = pa.table({"id": list("uvwxyz"), **{name: pa.array(values) for name in names}})
    path = tmp_path / "odd items.parquet"
    pq.write_table(table, path)
    catalog = Catalog(path, FeatureSchema(item_id="id", categorical=tuple(names)))
    result = validate(catalog, CONFIG, tmp_path / "a" / "b", Profile.of(catalog))
    assert failed(result) == set()
    assert result.notes == ()


def test_schema_without_numbers_or_without_categories_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(items(2), path)
    for schema in [{"numeric": ["price"]}, {"categorical": ["genre"]}, {"multi_label": ["tags"]}]:
        catalog = Catalog(path, FeatureSchema.model_validate({"item_id": "item_id", **schema}))
        assert failed(validate(catalog, CONFIG, tmp_path / "out", Profile.of(catalog))) == set()


def test_summary_rows_have_failures_first(tmp_path: Path, reference: Profile) -> None:
    table = cells("price", start=5, stop=6, value=1e9)(items(2))
    table = cells("item_id", start=1, stop=3, value="item 0")(table)
    rows = run(tmp_path, table, reference).summary_rows()
    assert [row[:3] for row in rows[:2]] == [("unique", "failed", "0 of 1"), ("range", "warning", "2 of 3")]
    assert rows[1][3].startswith("price: found 0 to 1,000,000,000, expected -0.")
    assert {row[1] for row in rows[2:]} == {"passed"}


def test_news_catalogue_passes_against_itself(tmp_path: Path, real_data: Path) -> None:
    table = pq.read_table(real_data / "news" / "news.parquet").replace_schema_metadata(None)
    for name in ("channel", "weekday"):
        table = replace(name, lambda c: pc.cast(c, pa.string()))(table)
    pq.write_table(table, tmp_path / "news.parquet")
    numbers = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    catalog = Catalog(
        tmp_path / "news.parquet",
        FeatureSchema(item_id="item_id", categorical=("channel", "weekday"), numeric=tuple(numbers)),
    )
    reference = Profile.of(catalog)
    result = validate(catalog, CONFIG, tmp_path / "out", reference)
    assert failed(result) == set()
    nats = {c.column: c.observed for c in result.checks if c.name == "drift"}
    assert nats == dict.fromkeys(["channel", "weekday", *numbers], "0.000 nats")


def test_great_expectations_is_imported_only_when_validating() -> None:
    code = "import streamrec.catalog.validate, sys; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
