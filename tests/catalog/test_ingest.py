from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog import keys
from streamrec.catalog.ingest import Ingested, ingest
from streamrec.config import IngestConfig
from streamrec.errors import CatalogError, QuarantineError
from streamrec.schema import FeatureSchema, MultiLabelColumn

SCHEMA = FeatureSchema(item_id="id", numeric=("x",))


def run(
    tmp_path: Path, data: pa.Table | str, schema: FeatureSchema = SCHEMA, share: float = 0.9, rows: int = 3
) -> Ingested:
    """Ingest a table (as Parquet) or text (as CSV), a few rows at a time."""
    path = tmp_path / ("t.csv" if isinstance(data, str) else "t.parquet")
    if isinstance(data, str):
        path.write_text(data)
    else:
        pq.write_table(data, path)
    config = IngestConfig(path=str(path), max_quarantined_share=share, batch_rows=rows)
    return ingest(config, schema, tmp_path / "run")


def kept(result: Ingested) -> list[dict[str, Any]]:
    return result.catalog.table().to_pylist()


def refused(result: Ingested) -> list[tuple[int, str]]:
    if result.quarantine is None:
        return []
    return [(row["row"], row["reason"]) for row in pq.read_table(result.quarantine).to_pylist()]


def column(values: Any, type: pa.DataType | None = None) -> pa.Table:
    """A table of ids 0, 1, ... and one column `x`."""
    cells = values if isinstance(values, pa.Array) else pa.array(values, type)
    return pa.table({"id": [str(i) for i in range(len(cells))], "x": cells})


def xs(result: Ingested) -> list[Any]:
    return [row["x"] for row in kept(result)]


# Ids


def test_first_of_equal_ids_is_kept_across_batches(tmp_path: Path) -> None:
    ids = ["a", "b", "a", "c", "d", "b", "a", "e"]
    result = run(tmp_path, pa.table({"id": ids, "x": range(8)}))
    assert [(row["id"], row["x"]) for row in kept(result)] == [
        ("a", 0),
        ("b", 1),
        ("c", 3),
        ("d", 4),
        ("e", 7),
    ]
    assert refused(result) == [(3, "duplicate_id"), (6, "duplicate_id"), (7, "duplicate_id")]
    assert result.reasons == {"duplicate_id": 3}


def test_a_refused_row_does_not_take_the_id_from_a_sound_one(tmp_path: Path) -> None:
    result = run(tmp_path, "id,x\na,bad\na,1\na,2\n")
    assert kept(result) == [{"id": "a", "x": 1}]
    assert refused(result) == [(1, "not_a_number:x"), (3, "duplicate_id")]


def test_ids_are_compared_exactly_when_their_keys_collide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        keys, "row_keys", lambda ids: np.array([len(str(i)) for i in ids.to_pylist()], np.int64)
    )
    monkeypatch.setattr("streamrec.catalog.ingest.row_keys", keys.row_keys)
    result = run(tmp_path, pa.table({"id": ["aa", "bb", "aa", "cc", "d"], "x": range(5)}))
    assert [row["id"] for row in kept(result)] == ["aa", "bb", "cc", "d"]


def test_missing_and_blank_ids_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, pa.table({"id": ["a", None, "", " \t", "b"], "x": range(5)}))
    assert [row["id"] for row in kept(result)] == ["a", "b"]
    assert result.reasons == {"missing_id": 3}


@pytest.mark.parametrize(
    ("ids", "type", "expected"),
    [
        ([3, -1], pa.int16(), [3, -1]),
        ([3, 2**64 - 1], pa.uint64(), ["3", "18446744073709551615"]),
        ([3.0, 4.0], pa.float64(), [3, 4]),
        (["007", " a "], pa.large_string(), ["007", " a "]),
        (["a", "b"], pa.dictionary(pa.int32(), pa.string()), ["a", "b"]),
        ([b"a", b"b"], pa.binary(), ["a", "b"]),
    ],
)
def test_ids_are_text_or_integers(
    tmp_path: Path, ids: list[Any], type: pa.DataType, expected: list[Any]
) -> None:
    result = run(tmp_path, pa.table({"id": pa.array(ids, type), "x": [1, 2]}))
    assert [row["id"] for row in kept(result)] == expected


def test_ids_of_text_files_stay_text_whatever_they_look_like(tmp_path: Path) -> None:
    result = run(tmp_path, "id,x\n1,1\n01,2\n1.0,3\n")
    assert [row["id"] for row in kept(result)] == ["1", "01", "1.0"]


def test_float_ids_must_be_whole(tmp_path: Path) -> None:
    result = run(tmp_path, pa.table({"id": [1.0, 1.5, None, np.nan, 2.0**60, np.inf], "x": range(6)}))
    assert [row["id"] for row in kept(result)] == [1]
    assert result.reasons == {"not_a_key:id": 3, "missing_id": 2}


# Numbers


def test_nan_is_missing_and_infinities_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, column([1.0, np.nan, None, np.inf, -np.inf]))
    assert xs(result) == [1.0, None, None]
    assert refused(result) == [(4, "not_finite:x"), (5, "not_finite:x")]


@pytest.mark.parametrize(
    ("values", "type", "expected", "canonical"),
    [
        ([1, None, 3], pa.int8(), [1, None, 3], pa.int64()),
        ([2**62 + 1, 0, None], pa.int64(), [2**62 + 1, 0, None], pa.int64()),
        ([True, None, False], pa.bool_(), [True, None, False], pa.bool_()),
        ([0.1, None], pa.float32(), [float(np.float32(0.1)), None], pa.float64()),
        ([1.5, None], pa.float16(), [1.5, None], pa.float64()),
        ([Decimal("1.10"), None], pa.decimal128(38, 2), [1.1, None], pa.float64()),
        ([5, None], pa.dictionary(pa.int8(), pa.int32()), [5, None], pa.int64()),
        ([None, None], pa.null(), [None, None], pa.float64()),
    ],
)
def test_numbers_keep_their_kind(
    tmp_path: Path, values: list[Any], type: pa.DataType, expected: list[Any], canonical: pa.DataType
) -> None:
    result = run(tmp_path, column(values, type))
    assert xs(result) == expected
    assert result.catalog.table().field("x").type == canonical


def test_unsigned_numbers_beyond_int64_are_refused(tmp_path: Path) -> None:
    result = run(tmp_path, column([1, 2**63, 2**63 - 1, None], pa.uint64()))
    assert xs(result) == [1, 2**63 - 1, None]
    assert refused(result) == [(2, "too_large:x")]


@pytest.mark.parametrize(
    ("cells", "expected", "canonical"),
    [
        (["1", "2", "3", "4", "5.5"], [1, 2, 3, 4, 5.5], pa.float64()),
        (["1", "", "NA", "-3"], [1, None, None, -3], pa.int64()),
        (["1", "oops", "2"], [1, 2], pa.int64()),
        (["true", "", "False"], [True, None, False], pa.bool_()),
        (["true", "1"], [1], pa.int64()),
        (["1", "99999999999999999999"], [1, 1e20], pa.float64()),
        (["1e400", "1"], [1], pa.float64()),
        (["", "nan"], [None, None], pa.float64()),
    ],
)
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_numbers_written_as_text_take_one_type_whatever_the_batches(
    tmp_path: Path, cells: list[str], expected: list[Any], canonical: pa.DataType, rows: int
) -> None:
    text = "id,x\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    for data in (text, column(cells)):
        result = run(tmp_path, data, rows=rows)
        assert xs(result) == expected
        assert [type(x) for x in xs(result)] == [type(x) for x in map(_as(canonical), expected)]
        assert result.catalog.table().field("x").type == canonical


def _as(kind: pa.DataType) -> Callable[[Any], Any]:
    return lambda value: pa.array([value], kind)[0].as_py()


def test_cells_that_are_no_numbers_are_refused_one_by_one(tmp_path: Path) -> None:
    result = run(tmp_path, "id,x\n1,1\n2,two\n3,-inf\n4,4\n5,five\n")
    assert xs(result) == [1, 4]
    assert refused(result) == [(2, "not_a_number:x"), (3, "not_finite:x"), (5, "not_a_number:x")]
    assert result.reasons == {"not_a_number:x": 2, "not_finite:x": 1}


# Categories and labels

CATEGORY = FeatureSchema(item_id="id", categorical=("x",))
LABELS = FeatureSchema(item_id="id", multi_label=(MultiLabelColumn(name="x", delimiter="|"),))
LISTS = FeatureSchema(item_id="id", multi_label=(MultiLabelColumn(name="x"),))


@pytest.mark.parametrize(
    ("values", "type", "expected", "canonical"),
    [
        (["a", "", "  ", None, " b"], pa.string(), ["a", None, None, None, " b"], pa.string()),
        (["NA", "null"], pa.string(), ["NA", "null"], pa.string()),
        ([1, None], pa.int32(), [1, None], pa.int64()),
        ([2**64 - 1, None], pa.uint64(), ["18446744073709551615", None], pa.string()),
        ([True, None], pa.bool_(), [True, None], pa.bool_()),
        ([3.0, None, np.nan], pa.float64(), [3, None, None], pa.int64()),
        (["a", None], pa.dictionary(pa.int8(), pa.string()), ["a", None], pa.string()),
        (["a", None], pa.string_view(), ["a", None], pa.string()),
        ([None], pa.null(), [None], pa.string()),
    ],
)
def test_categories_keep_their_kind_and_blank_is_missing(
    tmp_path: Path, values: list[Any], type: pa.DataType, expected: list[Any], canonical: pa.DataType
) -> None:
    result = run(tmp_path, column(values, type), CATEGORY)
    assert xs(result) == expected
    assert result.catalog.table().field("x").type == canonical


def test_fractions_are_no_categories(tmp_path: Path) -> None:
    result = run(tmp_path, column([1.0, 1.5]), CATEGORY)
    assert refused(result) == [(2, "not_a_category:x")]


@pytest.mark.parametrize(
    ("schema", "values", "type", "expected"),
    [
        (
            LABELS,
            ["a|b", " b | a||b", "", None, "|", "c"],
            pa.string(),
            [["a", "b"], ["b", "a"], None, None, [], ["c"]],
        ),
        (LISTS, [["a", "b", "a", None, " ", "b "], [], None], pa.list_(pa.string()), [["a", "b"], [], None]),
        (LISTS, [["a"], ["b", "b"]], pa.large_list(pa.large_string()), [["a"], ["b"]]),
        (LISTS, [[2, 1], [1, 1]], pa.list_(pa.int64(), 2), [["2", "1"], ["1"]]),
        (LISTS, [[2, 1], None], pa.list_view(pa.int64()), [["2", "1"], None]),
        (LISTS, [["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string())), [["a"], None]),
        (LABELS, [["a|b"], None], pa.list_(pa.string()), [["a|b"], None]),
    ],
)
def test_labels_are_trimmed_filled_and_distinct(
    tmp_path: Path, schema: FeatureSchema, values: list[Any], type: pa.DataType, expected: list[Any]
) -> None:
    result = run(tmp_path, column(values, type), schema)
    assert xs(result) == expected
    assert result.catalog.table().field("x").type == pa.list_(pa.string())


def test_labels_as_text_need_a_delimiter(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"column 'x' holds string, .* set its delimiter: .*name: x"):
        run(tmp_path, column(["a|b"]), LISTS)


# Dates and display


@pytest.mark.parametrize(
    ("values", "type", "expected"),
    [
        ([date(2024, 2, 29), None], pa.date32(), datetime(2024, 2, 29)),
        ([date(2024, 2, 29), None], pa.date64(), datetime(2024, 2, 29)),
        (
            [datetime(2024, 2, 29, 12, tzinfo=UTC), None],
            pa.timestamp("ns", "Asia/Tokyo"),
            datetime(2024, 2, 29, 12),
        ),
        (["2024-02-29T14:00+02:00", ""], pa.string(), datetime(2024, 2, 29, 12)),
        ([1_709_208_000, None], pa.int32(), datetime(2024, 2, 29, 12)),
        ([1_709_208_000_000.0, np.nan], pa.float64(), datetime(2024, 2, 29, 12)),
    ],
)
def test_timestamps_become_utc(
    tmp_path: Path, values: list[Any], type: pa.DataType, expected: datetime
) -> None:
    schema = FeatureSchema(item_id="id", numeric=("n",), timestamp="x")
    table = column(values, type).append_column("n", pa.array([1, 2]))
    result = run(tmp_path, table, schema)
    assert xs(result) == [expected, None]
    assert result.catalog.table().field("x").type == pa.timestamp("us")
    assert bool(result.notes) == (not isinstance(values[0], str | date))


def test_dates_that_do_not_parse_are_refused(tmp_path: Path) -> None:
    schema = FeatureSchema(item_id="id", numeric=("n",), timestamp="x")
    result = run(tmp_path, "id,x,n\n1,2024-02-29,1\n2,2023-02-29,1\n3,soon,1\n4,,1\n", schema)
    assert refused(result) == [(2, "not_a_timestamp:x"), (3, "not_a_timestamp:x")]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([" Title ", ""], [" Title ", None]),
        ([1.5, None], ["1.5", None]),
        ([True, None], ["true", None]),
        ([date(2024, 2, 29), None], ["2024-02-29", None]),
        ([["Ann", None, "Bo"], []], ["Ann, Bo", None]),
    ],
)
def test_display_columns_become_text(tmp_path: Path, values: list[Any], expected: list[Any]) -> None:
    schema = FeatureSchema(item_id="id", numeric=("n",), display=("x",))
    result = run(tmp_path, column(values).append_column("n", pa.array([1, 2])), schema)
    assert xs(result) == expected


# The table as a whole


@pytest.mark.parametrize(
    ("schema", "type", "expected"),
    [
        (SCHEMA, pa.list_(pa.float64()), "a list; make it a multi_label"),
        (SCHEMA, pa.struct([("a", pa.int64())]), "as numeric expected boolean, integer"),
        (SCHEMA, pa.timestamp("us"), "as numeric expected"),
        (SCHEMA, pa.duration("s"), "as numeric expected"),
        (CATEGORY, pa.date32(), "as categorical expected text"),
        (CATEGORY, pa.decimal128(5, 2), "as categorical expected text"),
        (LISTS, pa.list_(pa.float64()), "as multi_label expected text"),
        (LISTS, pa.list_(pa.list_(pa.string())), "as multi_label expected text"),
        (LISTS, pa.int64(), "not a list of labels"),
        (FeatureSchema(item_id="x", numeric=("id",)), pa.bool_(), "as item_id expected text"),
        (FeatureSchema(item_id="id", numeric=("n",), timestamp="x"), pa.bool_(), "as timestamp expected"),
        (
            FeatureSchema(item_id="id", numeric=("n",), display=("x",)),
            pa.map_(pa.string(), pa.int8()),
            "as display",
        ),
    ],
)
def test_types_without_a_meaning_for_the_role_stop_the_run(
    tmp_path: Path, schema: FeatureSchema, type: pa.DataType, expected: str
) -> None:
    table = column([None], type).append_column("n", pa.array([1]))
    with pytest.raises(CatalogError, match=f"column 'x' holds .*{expected}"):
        run(tmp_path, table, schema)


@pytest.mark.parametrize(
    "data", ["id,x\n", pa.table({"id": pa.array([], pa.string()), "x": pa.array([], pa.int8())})]
)
def test_a_table_without_rows_stops_the_run(tmp_path: Path, data: pa.Table | str) -> None:
    with pytest.raises(CatalogError, match=r"t\.(csv|parquet): the table has no rows"):
        run(tmp_path, data)


def test_a_missing_column_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"t\.csv: no column 'x'; found id, X; did you mean 'X'\?"):
        run(tmp_path, "id,X\n1,2\n")


@pytest.mark.parametrize("schema", [CATEGORY, SCHEMA])
def test_text_that_is_not_utf8_names_the_column(tmp_path: Path, schema: FeatureSchema) -> None:
    offsets, data = pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")
    broken = pa.Array.from_buffers(pa.string(), 1, [None, offsets, data])
    with pytest.raises(CatalogError, match=r"t\.parquet: column 'x': cannot convert: .*UTF8"):
        run(tmp_path, column(broken), schema)


def test_ragged_rows_are_refused_as_they_were_written(tmp_path: Path) -> None:
    result = run(tmp_path, "id,x\n1,1\n2\n3,3,3\n4,4\n")
    assert xs(result) == [1, 4]
    assert (result.rows_read, result.rows_refused) == (4, 2)
    assert pq.read_table(result.quarantine).to_pylist() == [
        {"row": 2, "reason": "ragged_row", "line": "2", "id": None, "x": None},
        {"row": 3, "reason": "ragged_row", "line": "3,3,3", "id": None, "x": None},
    ]


def test_quarantine_shows_the_cells_as_they_were(tmp_path: Path) -> None:
    schema = FeatureSchema(item_id="id", numeric=("reason",), multi_label=("row",), timestamp="when")
    table = pa.table(
        {
            "id": ["a", "b"],
            "reason": [np.inf, 1.0],
            "row": [["x", "é"], ["y"]],
            "when": pa.array([date(2024, 1, 2), None]),
        }
    )
    result = run(tmp_path, table, schema)
    (row,) = pq.read_table(result.quarantine).to_pylist()
    assert row == {
        "row": 1,
        "reason": "not_finite:reason",
        "line": None,
        "id": "a",
        "source.row": json.dumps(["x", "é"]),
        "source.reason": "inf",
        "when": "2024-01-02",
    }


def test_too_many_refusals_stop_the_run_and_keep_the_quarantine(tmp_path: Path) -> None:
    text = "id,x\n" + "".join(f"{i},{'?' if i < 3 else i}\n" for i in range(9)) + ",0\n"
    with pytest.raises(QuarantineError) as raised:
        run(tmp_path, text, share=0.3)
    quarantine = tmp_path / "run" / "quarantine.parquet"
    assert str(raised.value) == (
        f"{tmp_path / 't.csv'}: 4 of 10 rows refused (40.0%), the limit is 30.0% "
        f"(ingest.max_quarantined_share): not_a_number:x 3, missing_id 1; see {quarantine}"
    )
    assert pq.read_metadata(quarantine).num_rows == 4
    assert os.listdir(tmp_path / "run") == ["quarantine.parquet"]
    assert run(tmp_path, text, share=0.4).rows_refused == 4  # exactly the share is allowed


def test_a_run_without_any_row_left_stops(tmp_path: Path) -> None:
    with pytest.raises(QuarantineError, match=r"2 of 2 rows refused .* no row is left"):
        run(tmp_path, "id,x\n1,a\n2,b\n", share=1.0)


def test_a_clean_run_leaves_no_quarantine_of_an_earlier_one(tmp_path: Path) -> None:
    assert run(tmp_path, "id,x\n1,a\n2,2\n").quarantine is not None
    result = run(tmp_path, "id,x\n1,1\n2,2\n")
    assert (result.quarantine, result.rows_refused, result.reasons) == (None, 0, {})
    assert os.listdir(tmp_path / "run") == ["catalog.parquet"]


def test_columns_outside_the_schema_are_named_in_a_note(tmp_path: Path) -> None:
    result = run(tmp_path, "id,x,y,z\n1,1,2,3\n")
    assert result.notes == ["columns outside the schema, left out: y, z"]
    assert result.catalog.table().column_names == ["id", "x"]


def test_same_table_gives_the_same_bytes_and_progress_ends_at_the_total(tmp_path: Path) -> None:
    first = run(tmp_path, "id,x\n1,1\n2\n3,3\n4,4\n").catalog.path.read_bytes()
    told: list[tuple[int, int | None]] = []
    config = IngestConfig(path=str(tmp_path / "t.csv"), max_quarantined_share=0.5, batch_rows=1)
    again = ingest(config, SCHEMA, tmp_path / "again", lambda done, total: told.append((done, total)))
    assert again.catalog.path.read_bytes() == first
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_killed_run_leaves_the_former_catalogue(tmp_path: Path) -> None:
    before = run(tmp_path, "id,x\n1,1\n").catalog.path.read_bytes()
    (tmp_path / "t.csv").write_text("id,x\n" + "".join(f"{i},{i}\n" for i in range(200)))
    code = (
        "import os, sys; from pathlib import Path; from streamrec.catalog.ingest import ingest\n"
        "from streamrec.config import IngestConfig; from streamrec.schema import FeatureSchema\n"
        "ingest(IngestConfig(path=sys.argv[1], batch_rows=10), FeatureSchema(item_id='id', numeric=('x',)),\n"
        "       Path(sys.argv[2]), lambda done, total: os.kill(os.getpid(), 9) if done > 100 else None)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.csv"), str(tmp_path / "run")]
    assert subprocess.run(command, check=False).returncode == -9
    assert (tmp_path / "run" / "catalog.parquet").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(CatalogError, match=r"run: cannot write the catalogue: .*File exists"):
        run(tmp_path, "id,x\n1,1\n")


# Invariants

ODD = st.sampled_from(["", " ", "nan", "x", "inf", "-1e999", "2024-01-01"])
ROW = st.tuples(
    st.sampled_from(["", "a", "b", "c", "d", "ee", "1", "01"]),
    st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers(-9, 9).map(str), ODD),
    st.sampled_from(["red", "blue", "", "Ünï", " red"]),
)


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 9), st.booleans())
def test_every_row_is_kept_or_refused_and_kept_rows_are_what_was_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], size: int, text: bool
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    schema = FeatureSchema(item_id="id", numeric=("x",), categorical=("c",))
    data: pa.Table | str = "id,x,c\n" + "".join(f"{i},{x},{c}\n" for i, x, c in rows)
    if not text:
        data = pa.table({"id": [r[0] for r in rows], "x": [r[1] for r in rows], "c": [r[2] for r in rows]})
    try:
        result = run(folder, data, schema, share=1.0, rows=size)
    except QuarantineError:
        assert pq.read_metadata(folder / "run" / "quarantine.parquet").num_rows == len(rows)
        return
    bad = refused(result)
    assert result.rows_read == len(rows) == result.catalog.num_rows + result.rows_refused
    assert sum(result.reasons.values()) == result.rows_refused == len(bad)
    assert [row for row, _ in bad] == sorted({row for row, _ in bad})
    ids = [row["id"] for row in kept(result)]
    assert len(set(ids)) == len(ids)
    numbers = dict(bad)
    survivors = [row for number, row in enumerate(rows, 1) if number not in numbers]
    for (item, x, c), row in zip(survivors, kept(result), strict=True):
        assert row["id"] == item
        assert row["c"] == (c if c.strip() else None)
        assert row["x"] == (None if x.strip() in ("", "nan") else float(x))
    for number, reason in bad:
        item, x, _ = rows[number - 1]
        expected = {
            "missing_id": item == "",
            "not_a_number:x": x in ("x", "2024-01-01"),
            "not_finite:x": x in ("inf", "-1e999"),
            "duplicate_id": item
            in [row[0] for n, row in enumerate(rows[: number - 1], 1) if n not in numbers],
        }
        assert expected[reason]


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.booleans(),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
            st.none() | st.lists(st.sampled_from("abc"), unique=True),
            st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 9),
)
def test_a_canonical_table_is_ingested_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("same")
    schema = FeatureSchema(
        item_id="id", categorical=("b", "s"), multi_label=("l",), numeric=("i", "f"), timestamp="t"
    )
    types = [pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.list_(pa.string()), pa.timestamp("us")]
    cells = {
        name: pa.array([row[k] for row in rows], types[k])
        for k, name in enumerate(("i", "f", "b", "s", "l", "t"))
    }
    table = pa.table({"id": pa.array(range(len(rows)), pa.int64()), **cells}).select(list(schema.columns))
    first = run(folder, table, schema, rows=size)
    assert first.catalog.table().equals(table)
    config = IngestConfig(path=str(first.catalog.path), batch_rows=size)
    assert ingest(config, schema, folder / "twice").catalog.table().equals(table)


# Real tables


def test_movies_are_ingested_but_for_two_without_a_year(tmp_path: Path, real_data: Path) -> None:
    schema = FeatureSchema(
        item_id="item_id", multi_label=("class",), numeric=("release_year",), display=("movie_title",)
    )
    config = IngestConfig(path=str(real_data / "ml-100k" / "ml-100k.item"))
    result = ingest(config, schema, tmp_path)
    assert (result.rows_read, result.reasons) == (1682, {"not_a_number:release_year": 2})
    first = kept(result)[0]
    assert first["movie_title"] == "Toy Story"
    assert first["class"] == ["Animation", "Children's", "Comedy"]
    assert first["release_year"] == 1995
    assert [row["release_year"] for row in pq.read_table(result.quarantine).to_pylist()] == ["unkonwn", "V"]
