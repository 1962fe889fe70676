from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundles import GENRES, SCHEMA, make_table

from streamrec.errors import BundleError
from streamrec.retrieval.items import ItemTable

TABLE = make_table(rows=90)
ITEMS = ItemTable(TABLE, SCHEMA, "bundle")
NUMBERED = ItemTable(make_table(rows=90, text_ids=False), SCHEMA, "bundle")


def one_or_more(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), max_size=3))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "genre": one_or_more(GENRES),
            "year": one_or_more([*range(1990, 1997)]),
            "adult": one_or_more([True, False]),
            "tags": one_or_more(["t0", "t1", "t4"]),
        },
    ),
    st.booleans(),
)
def test_a_filter_keeps_the_rows_that_match_every_column(where: dict[str, Any], as_text: bool) -> None:
    expected = []
    for row in TABLE.to_pylist():
        matches = True
        for name, wanted in where.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            held = row[name] if name == "tags" else [row[name]]
            matches &= any(value in values for value in held or [])
        expected.append(matches)
    if as_text:
        where = {
            name: [str(v) for v in wanted] if isinstance(wanted, list) else str(wanted)
            for name, wanted in where.items()
        }
    assert ITEMS.mask(where).tolist() == expected


def test_columns_without_a_single_value_can_be_filtered_by_nothing() -> None:
    empty = TABLE
    for name in ("genre", "tags"):
        column = empty.column_names.index(name)
        empty = empty.set_column(
            column, TABLE.schema.field(name), pa.nulls(90, TABLE.schema.field(name).type)
        )
    items = ItemTable(empty, SCHEMA, "bundle")
    for name in ("genre", "tags"):
        assert not items.mask({name: []}).any()
        with pytest.raises(BundleError, match=f"no item has 'war' in '{name}'; values: none"):
            items.mask({name: "war"})


def test_every_id_is_found_at_its_row() -> None:
    for row, identifier in enumerate(TABLE["id"].to_pylist()):
        assert ITEMS.position(identifier) == row
    for row in range(90):
        assert NUMBERED.position(row) == NUMBERED.position(str(row)) == row


@pytest.mark.parametrize(
    ("table", "wanted", "message"),
    [
        (ITEMS, "item-00077", r"no item 'item-00077'; did you mean .*'item-0077'"),
        (ITEMS, 7, r"no item 7$"),
        (ITEMS, "", r"no item ''$"),
        (NUMBERED, "seven", r"no item 'seven'$"),
        (NUMBERED, 880, r"no item 880; did you mean .*'88'"),
        (NUMBERED, 2**70, r"no item 1180591620717411303424"),
        (NUMBERED, "7.0", r"no item '7\.0'; did you mean '70'"),
    ],
)
def test_an_unknown_id_is_named_with_close_ones(table: ItemTable, wanted: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        table.position(wanted)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            {"gene": "war"},
            r"cannot filter by 'gene'; did you mean 'genre'\?; columns to filter by: genre, year, ",
        ),
        ({"a": 1}, r"cannot filter by 'a'"),
        (
            {"genre": "dramma"},
            r"no item has 'dramma' in 'genre'; did you mean 'drama'\?; values: comedy, drama, jazz, war",
        ),
        ({"genre": ["war", "peace"]}, r"no item has 'peace' in 'genre'"),
        ({"year": "late"}, r"no item has 'late' in 'year'"),
        ({"adult": 1}, r"no item has 1 in 'adult'"),
        ({"tags": "t9"}, r"no item has 't9' in 'tags'; values: t0, t1, t2, t3, t4$"),
    ],
)
def test_an_unknown_column_or_value_is_named_with_close_ones(where: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        ITEMS.mask(where)
