"""The hash of a row: its own cells and nothing else."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_bundles import SCHEMA, make_table

from streamrec.retrieval.content_hash import content_hashes
from streamrec.schema import FeatureSchema

TABLE = make_table(60)
HASHES = content_hashes(TABLE, SCHEMA)


def with_cell(column: str, row: int, value: Any) -> pa.Table:
    cells = TABLE[column].to_pylist()
    cells[row] = value
    index = TABLE.column_names.index(column)
    return TABLE.set_column(index, column, pa.array(cells, TABLE[column].type))


def test_rows_that_differ_have_hashes_that_differ() -> None:
    assert HASHES.dtype == np.uint64
    assert len(np.unique(HASHES)) == len(TABLE)


@given(st.lists(st.integers(0, 59), max_size=30))
@hypothesis_settings(max_examples=30)
def test_a_row_has_its_hash_wherever_it_stands(chosen: list[int]) -> None:
    np.testing.assert_array_equal(
        content_hashes(TABLE.take(pa.array(chosen, pa.int64())), SCHEMA), HASHES[chosen]
    )
    if chosen:
        start = min(chosen)
        np.testing.assert_array_equal(
            content_hashes(TABLE.slice(start, 7), SCHEMA), HASHES[start : start + 7]
        )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("genre", "opera"),
        ("genre", None),
        ("genre", ""),
        ("year", 2001),
        ("adult", None),
        ("tags", []),
        ("tags", None),
        ("tags", [None]),
        ("tags", [""]),
        ("tags", ["t0", "t0"]),
        ("a", None),
        ("a", 0.0),
        ("b", float("nan")),
        ("added", None),
        ("title", "Another"),
    ],
)
def test_any_changed_cell_changes_the_hash_of_its_row_alone(column: str, value: Any) -> None:
    changed = content_hashes(with_cell(column, 31, value), SCHEMA) != HASHES
    assert np.flatnonzero(changed).tolist() == [31]


def test_what_is_missing_is_no_value() -> None:
    tables = [
        with_cell("tags", 31, value) for value in (None, [], [None], [""], ["t0"], ["t0", "t1"], ["t1", "t0"])
    ]
    tables += [with_cell("a", 31, value) for value in (None, 0.0, float("nan"), 1.0)]
    assert len({int(content_hashes(table, SCHEMA)[31]) for table in tables}) == len(tables)


def test_an_instant_later_is_another_row() -> None:
    later = with_cell("added", 5, TABLE["added"][5].as_py() + timedelta(microseconds=1))
    assert np.flatnonzero(content_hashes(later, SCHEMA) != HASHES).tolist() == [5]


def test_the_id_and_columns_outside_the_schema_do_not_count() -> None:
    renamed = TABLE.set_column(0, "id", pa.array([f"other-{i}" for i in range(60)]))
    extended = renamed.append_column("views", pa.array(np.arange(60)))
    np.testing.assert_array_equal(content_hashes(extended, SCHEMA), HASHES)


def test_values_that_change_columns_change_the_hash() -> None:
    swapped = TABLE.rename_columns({"a": "b", "b": "a"})
    assert (content_hashes(swapped, SCHEMA) != HASHES).all()


def test_a_number_counts_by_its_value() -> None:
    schema = FeatureSchema(item_id="id", numeric=("n",))
    tables = [
        pa.table({"id": [0, 1, 2], "n": pa.array(values)})
        for values in ([1, 0, None], [1.0, -0.0, None], [True, False, None])
    ]
    hashes = [content_hashes(table, schema) for table in tables]
    np.testing.assert_array_equal(hashes[0], hashes[1])
    np.testing.assert_array_equal(hashes[0], hashes[2])


def test_another_process_gives_the_same_hashes() -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from small_bundles import SCHEMA, make_table
from streamrec.retrieval.content_hash import content_hashes
print(*content_hashes(make_table(60), SCHEMA))
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert list(map(int, done.stdout.split())) == HASHES.tolist()


def test_the_recipe_does_not_change_under_its_name() -> None:
    row = pa.table(
        {
            "id": [7],
            "kind": ["film"],
            "tags": pa.array([["a", "b"]], pa.list_(pa.string())),
            "price": [2.5],
            "title": pa.array([None], pa.string()),
        }
    )
    schema = FeatureSchema(
        item_id="id", categorical=("kind",), multi_label=("tags",), numeric=("price",), display=("title",)
    )
    assert content_hashes(row, schema).tolist() == [16_465_501_108_931_662_904]


def test_no_rows_have_no_hashes() -> None:
    assert content_hashes(TABLE[:0], SCHEMA).shape == (0,)
