from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import CatalogError, InteractionsError, QuarantineError
from streamrec.interactions.file import load_interactions, positions, write_interactions
from streamrec.interactions.ingest import IngestedInteractions, ingest_interactions
from streamrec.interactions.settings import InteractionsConfig, UsersConfig
from streamrec.interactions.users import ingest_users
from streamrec.schema import FeatureSchema

ITEMS = pa.array(["a", "b", "c"])
SECOND = 1_000_000


def ingest(
    folder: Path, data: str | pa.Table, name: str = "", items: pa.Array = ITEMS, **settings: Any
) -> IngestedInteractions:
    """Ingest text (as CSV, unless named otherwise) or a table (as Parquet), two rows at a time."""
    path = folder / (name or ("t.csv" if isinstance(data, str) else "t.parquet"))
    if isinstance(data, str):
        path.write_text(data)
    else:
        pq.write_table(data, path)
    settings = {"user": "u", "item": "i", "max_quarantined_share": 0.99, "batch_rows": 2, **settings}
    return ingest_interactions(InteractionsConfig(path=str(path), **settings), items, folder / "run")


def kept(result: IngestedInteractions) -> list[tuple[Any, ...]]:
    """Rows as (user, item, weight, seconds since 1970)."""
    table = pq.read_table(result.path)
    seconds = [None if t is None else t // SECOND for t in table["time"].cast(pa.int64()).to_pylist()]
    columns = [table[name].to_pylist() for name in ("user", "item", "weight")]
    return list(zip(*columns, seconds, strict=True))


def refused(result: IngestedInteractions) -> list[tuple[int, str]]:
    if result.quarantine is None:
        return []
    return [(row["row"], row["reason"]) for row in pq.read_table(result.quarantine).to_pylist()]


def test_events_are_written_by_time_then_user_then_item(tmp_path: Path) -> None:
    text = "u,i,r,t\ny,b,1,1000000009\nx,c,2,1000000009\nx,a,3,1000000009\nz,a,4,1000000001\n"
    result = ingest(tmp_path, text, rating="r", timestamp="t")
    assert kept(result) == [
        ("z", "a", 4.0, 1_000_000_001),
        ("x", "a", 3.0, 1_000_000_009),
        ("x", "c", 2.0, 1_000_000_009),
        ("y", "b", 1.0, 1_000_000_009),
    ]
    assert result.quarantine is None
    assert (result.rows, result.rows_read, result.rows_refused) == (4, 4, 0)


BAD_ROWS = [
    (",a,1,1000000000", "missing_user"),
    ("x, ,1,1000000000", "missing_item"),
    ("x,d,1,1000000000", "unknown_item"),
    ("x,a,one,1000000000", "not_a_number:r"),
    ("x,a,inf,1000000000", "not_finite:r"),
    ("x,a,1e300,1000000000", "too_large:r"),
    ("x,a,,1000000000", "missing_rating"),
    ("x,a,1,yesterday", "not_a_timestamp:t"),
    ("x,a,1,1995", "not_a_timestamp:t"),
    ("x,a,1,", "missing_time"),
    ("x,a,1", "ragged_row"),
    ("x,d,one,yesterday", "not_a_number:r"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_quarantined_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    good = "x,a,1,1000000000"
    result = ingest(tmp_path, "\n".join(["u,i,r,t", good, row, good, ""]), rating="r", timestamp="t")
    assert refused(result) == [(2, reason)]
    assert result.reasons == {reason: 1}
    assert len(kept(result)) == 2


def test_the_quarantine_shows_rows_as_they_were_found(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i,r\nx,a,1\nx, d,2\n", rating="r")
    assert result.quarantine is not None
    assert pq.read_table(result.quarantine).to_pylist() == [
        {"row": 2, "reason": "unknown_item", "line": None, "u": "x", "i": " d", "r": "2"}
    ]


def test_too_many_bad_rows_stop_and_the_quarantine_is_kept(tmp_path: Path) -> None:
    with pytest.raises(QuarantineError, match=r"1 of 4 rows .*\(interactions.max_quarantined_share\): unkn"):
        ingest(tmp_path, "u,i\nx,a\nx,b\nx,q\nx,c\n", max_quarantined_share=0.2)
    assert (tmp_path / "run" / "quarantine.parquet").is_file()
    assert not (tmp_path / "run" / "interactions.parquet").exists()


def test_rows_rated_low_are_left_out_and_not_refused(tmp_path: Path) -> None:
    text = "u,i,r\nx,a,3.9\nx,b,4\ny,c,5\ny,q,1\n"
    result = ingest(tmp_path, text, rating="r", min_rating=4)
    assert [row[:3] for row in kept(result)] == [("x", "b", 4.0), ("y", "c", 5.0)]
    assert (result.rows_below, result.reasons) == (1, {"unknown_item": 1})


def test_without_rating_and_time_every_event_weighs_one(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i\nx,b\nx,a\n")
    assert kept(result) == [("x", "a", 1.0, None), ("x", "b", 1.0, None)]
    assert load_interactions(result.path, ITEMS).times.tolist() == [0, 0]


def test_recbole_headers_name_their_columns_without_the_type(tmp_path: Path) -> None:
    text = "u:token\ti:token\tr:float\tt:float\n7\ta\t3\t1000000000\n"
    assert kept(ingest(tmp_path, text, "x.inter", rating="r", timestamp="t")) == [("7", "a", 3.0, 10**9)]


@pytest.mark.parametrize("items", [pa.array([3, 1, 2]), pa.array(["3", "1", "2"])])
@pytest.mark.parametrize("stored", [pa.array([1, 2]), pa.array([1.0, 2.0]), pa.array(["1", "2"])])
def test_an_item_stored_as_number_or_as_text_is_one_item(
    tmp_path: Path, items: pa.Array, stored: pa.Array
) -> None:
    result = ingest(tmp_path, pa.table({"u": ["x", "y"], "i": stored}), items=items)
    assert pq.read_table(result.path)["item"].type == items.type
    assert load_interactions(result.path, items).items.tolist() == [1, 2]


def test_leading_zeros_make_another_item(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i\nx,1\nx,01\n", items=pa.array([1]))
    assert refused(result) == [(2, "unknown_item")]


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for name, rows in (("1.csv", "x,a\nx,b\n"), ("2.csv", "y,q\ny,c\n")):
        (tmp_path / "parts" / name).write_text("u,i\n" + rows)
    config = InteractionsConfig(path=str(tmp_path / "parts"), user="u", item="i", max_quarantined_share=0.5)
    result = ingest_interactions(config, ITEMS, tmp_path / "run")
    assert refused(result) == [(3, "unknown_item")]
    assert [row[:2] for row in kept(result)] == [("x", "a"), ("x", "b"), ("y", "c")]


def test_a_column_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no column 'tme'; found u, i, time; did you mean 'time'\?"):
        ingest(tmp_path, "u,i,time\nx,a,1\n", timestamp="tme")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u,i,r\n", "has no rows; expected at least one event"),
        ("u,i,r\nx,a,1\n", r"none of 1 rows is an event \(1 rated below 4, 0 refused\)"),
    ],
)
def test_no_event_at_all_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InteractionsError, match=message):
        ingest(tmp_path, text, rating="r", min_rating=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"user": "u", "item": "u"}, "column 'u' has two roles"),
        ({"min_rating": 4}, "'min_rating' needs 'rating'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InteractionsConfig(path="t.csv", **settings)


Row = tuple[str, int, int]


@given(st.lists(st.tuples(st.sampled_from("zyxw"), st.integers(0, 4), st.integers(0, 3)), min_size=1))
def test_what_is_written_is_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    path = tmp_path_factory.mktemp("file") / "interactions.parquet"
    ids = pa.array(["e", "a", "d", "b", "c"])
    users, items, times = (list(column) for column in zip(*rows, strict=True))
    weights = pa.array(np.arange(len(rows)), pa.float32())
    stamps = pa.array(times, pa.timestamp("us"))
    write_interactions(path, pa.array(users), pa.array(items), weights, stamps, ids)
    found = load_interactions(path, ids)
    assert found.user_ids.to_pylist() == sorted(set(users))
    read = [
        (int(t), found.user_ids[int(u)].as_py(), int(i), float(w))
        for t, u, i, w in zip(found.times, found.users, found.items, found.weights, strict=True)
    ]
    assert read == sorted((t, u, i, float(n)) for n, (u, i, t) in enumerate(rows))
    stored = pq.read_table(path).to_pylist()
    assert [(r["time"], r["user"], r["item"]) for r in stored] == sorted(
        (r["time"], r["user"], r["item"]) for r in stored
    )


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "u": rng.integers(50, size=500),
            "i": pa.array(["a", "b", "c"]).take(pa.array(rng.integers(3, size=500))),
            "t": rng.integers(10**9, 10**9 + 5, size=500),
        }
    )
    mixed = table.take(pa.array(rng.permutation(500)))
    found = [ingest(tmp_path, part, timestamp="t").path.read_bytes() for part in (table, table, mixed)]
    assert found[0] == found[1] == found[2]


def test_users_known_otherwise_come_first_and_others_follow(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i\n9,a\n2,b\n5,c\n")
    found = load_interactions(result.path, ITEMS, user_ids=pa.array([7, 5]))
    assert found.user_ids.to_pylist() == [7, 5, 2, 9]
    assert [found.user_ids[int(u)].as_py() for u in found.users[np.argsort(found.items)]] == [9, 2, 5]


def test_a_new_user_whose_id_is_of_another_type_than_the_others_is_refused(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i\n9,a\nbob,b\n")
    with pytest.raises(InteractionsError, match=r"user ids are string, .* int64, .*'bob'"):
        load_interactions(result.path, ITEMS, user_ids=pa.array([7, 5]))


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "user=7"
    folder.mkdir()
    result = ingest(folder, "u,i\n9,a\n")
    assert load_interactions(result.path, ITEMS).user_ids.to_pylist() == ["9"]


def test_events_of_another_catalogue_are_refused(tmp_path: Path) -> None:
    result = ingest(tmp_path, "u,i\nx,a\nx,b\nx,c\n")
    with pytest.raises(InteractionsError, match=r"1 of 3 events .*catalogue of 2 does not have, as 'b'"):
        load_interactions(result.path, pa.array(["c", "a"]))


def test_a_file_that_holds_no_events_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1]}), tmp_path / "x.parquet")
    with pytest.raises(
        InteractionsError, match=r"x.parquet: not a file of events; expected the columns user"
    ):
        load_interactions(tmp_path / "x.parquet", ITEMS)


def test_missing_and_unknown_ids_have_no_position() -> None:
    assert positions(pa.array(["b", None, "q"]), ITEMS).tolist() == [1, -1, -1]


def test_users_are_read_with_the_rules_of_items(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("user,age\n1,20\n2,old\n2,30\n3,40\n")
    schema = FeatureSchema(item_id="user", numeric=("age",))
    config = UsersConfig(path=str(tmp_path / "u.csv"), features=schema, max_quarantined_share=0.5)
    found = ingest_users(config, tmp_path)
    assert found.catalog.table().to_pydict() == {"user": ["1", "2", "3"], "age": [20, 30, 40]}
    assert found.reasons == {"not_a_number:age": 1}
    with pytest.raises(QuarantineError, match=r"users.max_quarantined_share"):
        ingest_users(config.model_copy(update={"max_quarantined_share": 0.1}), tmp_path)


def test_movielens_positives_are_the_published_number(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "ml-100k"
    parse = pyarrow.csv.ParseOptions(delimiter="\t")
    item_table = pyarrow.csv.read_csv(folder / "ml-100k.item", parse_options=parse)
    ids = item_table.column(0).combine_chunks().cast(pa.string())
    config = InteractionsConfig(
        path=os.fspath(folder / "ml-100k.inter"), rating="rating", timestamp="timestamp", min_rating=4
    )
    result = ingest_interactions(config, ids, tmp_path)
    found = load_interactions(result.path, ids)
    assert (len(found), result.rows_below, len(found.user_ids)) == (55_375, 44_625, 942)
    assert np.all(np.diff(found.times) >= 0)
