from __future__ import annotations

import bz2
import gzip
from datetime import date
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog.formats import BLOCK_BYTES
from streamrec.catalog.source import TableSource, open_table
from streamrec.errors import CatalogError

TABLE = pa.table({"id": ["a", "b", "c"], "views": [1, 2, None], "tags": [["x"], [], None]})


def read(source: TableSource, batch_rows: int = 2) -> list[dict[str, object]]:
    return [row for b in source.batches(source.columns, batch_rows) for row in b.cells.to_pylist()]


def ragged(source: TableSource, batch_rows: int = 2) -> list[tuple[int, str]]:
    return [(row.number, row.line) for b in source.batches(source.columns, batch_rows) for row in b.ragged]


def write_arrow_file(path: Path) -> None:
    with pa.ipc.new_file(path, TABLE.schema) as writer:
        writer.write_table(TABLE)


def write_arrow_stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.parquet", lambda path: pq.write_table(TABLE, path)),
        ("t.feather", write_arrow_file),
        ("t.arrow", write_arrow_stream),
    ],
)
def test_typed_formats_keep_their_cells(tmp_path: Path, name: str, write: object) -> None:
    path = tmp_path / name
    write(path)  # type: ignore[operator]
    assert read(open_table(path)) == TABLE.to_pylist()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", b'id,title\n1,"a, ""b""\nc"\n02,\n'),
        ("t.tsv", b'id\ttitle\n1\t"a, ""b""\nc"\n02\t\n'),
        ("bom.csv", b'\xef\xbb\xbfid,title\r\n1,"a, ""b""\nc"\r\n02,\r\n'),
        ("t.csv.gz", gzip.compress(b'id, title \n1,"a, ""b""\nc"\n\n02,', mtime=0)),
        ("t.csv.bz2", bz2.compress(b'id,title\n1,"a, ""b""\nc"\n02,\n')),
    ],
)
def test_delimited_cells_are_text_as_written(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert read(open_table(tmp_path / name)) == [
        {"id": "1", "title": 'a, "b"\nc'},
        {"id": "02", "title": ""},
    ]


def test_atomic_files_lose_the_type_of_their_headers_and_keep_quotes(tmp_path: Path) -> None:
    path = tmp_path / "x.item"
    path.write_text('item_id:token\tname:token_seq\tscore:float\n7\t"Heat\t1.5\n8\ta "b"\t2\n')
    source = open_table(path)
    assert source.declared == {"item_id": "token", "name": "token_seq", "score": "float"}
    assert [row["name"] for row in read(source)] == ['"Heat', 'a "b"']


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_urls_open_like_paths(tmp_path: Path, scheme: str) -> None:
    base = f"file://{tmp_path}" if scheme == "file" else f"memory://{tmp_path.name}"
    with fsspec.open(f"{base}/t.parquet", "wb") as file:
        pq.write_table(TABLE, file)
    with fsspec.open(f"{base}/csv/t.csv.gz", "wb") as file:
        file.write(gzip.compress(b"id\n1\n2\n", mtime=0))
    assert read(open_table(f"{base}/t.parquet")) == TABLE.to_pylist()
    assert read(open_table(f"{base}/csv")) == [{"id": "1"}, {"id": "2"}]


def test_folder_is_read_in_order_of_paths_without_hidden_and_foreign_files(tmp_path: Path) -> None:
    for name, value in [("b.csv", 2), ("a.csv", 1), ("sub/c.csv", 3), ("_old/d.csv", 9), (".e.csv", 9)]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"id\n{value}\n")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "_SUCCESS").write_text("")
    source = open_table(tmp_path)
    assert [row["id"] for row in read(source)] == ["1", "2", "3"]
    assert np.concatenate([b.rows for b in source.batches(["id"], 10)]).tolist() == [1, 2, 3]


def test_partition_folders_become_text_columns(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "day": [date(2024, 1, 1)] * 3, "lang": ["en", None, "a b/c"]})
    pa.dataset.write_dataset(
        table, tmp_path, format="parquet", partitioning=["lang", "day"], partitioning_flavor="hive"
    )
    rows = sorted(read(open_table(tmp_path)), key=lambda row: row["id"])  # type: ignore[arg-type,return-value]
    assert [(row["id"], row["lang"], row["day"]) for row in rows] == [
        (1, "en", "2024-01-01"),
        (2, None, "2024-01-01"),
        (3, "a b/c", "2024-01-01"),
    ]
    only = [b.cells for b in open_table(tmp_path).batches(["lang"], 10)]
    assert sum(cells.num_rows for cells in only) == 3


def test_batches_are_bounded_and_hold_the_columns_asked_for(tmp_path: Path) -> None:
    table = pa.table({"id": range(1000), "a.b": range(1000), "a": range(1000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1000)
    pq.write_table(table.slice(0, 7), tmp_path / "u.parquet")
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "t.csv").write_text("a,id,a.b\n" + "".join(f"{i},{i},{i}\n" for i in range(1007)))
    for folder, format in ((tmp_path, "parquet"), (tmp_path / "csv", "csv")):
        batches = list(open_table(folder, format).batches(["a", "id"], 64))  # type: ignore[arg-type]
        assert {tuple(b.cells.schema.names) for b in batches} == {("a", "id")}
        assert max(b.cells.num_rows for b in batches) == 64
        assert np.concatenate([b.rows for b in batches]).tolist() == list(range(1, 1008))


@given(
    st.lists(st.sampled_from(["1,2", "1", "1,2,3", '"x\ny",2', ""]), max_size=40),
    st.lists(st.sampled_from(["1,2", "1"]), max_size=5),
    st.integers(1, 7),
)
def test_every_row_of_a_delimited_table_has_its_own_number(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str], batch_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "a.csv").write_text("a,b\n" + "".join(f"{line}\n" for line in first))
    (folder / "b.csv").write_text("a,b\n" + "".join(f"{line}\n" for line in second))
    lines = [line for line in [*first, *second] if line]  # an empty line is no row
    batches = list(open_table(folder).batches(["b", "a"], batch_rows))
    sound = [number for b in batches for number in b.rows.tolist()]
    odd = [(row.number, row.line) for b in batches for row in b.ragged]
    assert sound == [i for i, line in enumerate(lines, 1) if line.count(",") == 1]
    assert odd == [(i, line) for i, line in enumerate(lines, 1) if line.count(",") != 1]


def test_ragged_rows_far_apart_keep_their_numbers(tmp_path: Path) -> None:
    # More than a block: the reader parses ahead of the rows it hands out.
    filler = "x" * 1000
    lines = [f"{i},{filler}" if i % 1000 else f"{i}" for i in range(1, 3 * BLOCK_BYTES // 1000)]
    (tmp_path / "t.csv").write_text("a,b\n" + "\n".join(lines) + "\n")
    source = open_table(tmp_path / "t.csv")
    expected = [(i, str(i)) for i in range(1000, len(lines) + 1, 1000)]
    assert ragged(source, 100) == expected
    for batch in source.batches(["a"], 100):
        assert batch.cells.column("a").to_pylist() == [str(number) for number in batch.rows]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("t.csv", b"", "empty; expected a header"),
        ("t.csv", b"a,b\n1,caf\xe9\n", "not UTF-8 text"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), "not UTF-8 text"),
        ("t.csv", b"caf\xe9,b\n1,2\n", "not UTF-8 text"),
        ("t.csv", b'a,b\n1,"2\n3,4\n', "a quote is opened and never closed"),
        ("t.csv", b'a,b\n1,2\n"1,2\n3,4\n', "a quote is opened and never closed"),
        ("t.csv", b'a,b\n1,"' + b"x\n" * BLOCK_BYTES, "a row is longer than 4 MiB"),
        ("t.csv", b"a,a\n1,2\n", "two columns are named 'a'"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-20], "not a readable text file"),
        ("t.csv.gz", b"a,b\n1,2\n", "not a readable text file"),
        ("t.parquet", b"PAR1 is how it starts, not how it ends", "not a readable Parquet file"),
        ("t.parquet", b"", "not a readable Parquet file"),
        ("t.feather", b"ARROW1 and nothing else", "not a readable Arrow file"),
        ("t.txt", b"a,b\n1,2\n", "expected an ending that tells the format"),
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path: Path, name: str, data: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(CatalogError, match=expected) as raised:
        read(open_table(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_parquet_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"id": np.random.default_rng(0).normal(size=100_000)})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[1_000:300_000] = bytes(299_000)
    path.write_bytes(bytes(data))
    with pytest.raises(CatalogError, match=r"t\.parquet: not a readable Parquet file"):
        read(open_table(path))


def test_a_quoted_last_cell_may_hold_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"2\n3"\n')
    assert read(open_table(tmp_path / "t.csv")) == [{"a": "1", "b": "2\n3"}]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere.parquet", r"nowhere\.parquet: no such file or folder"),
        ("memory://nowhere/t.csv", "no such file or folder"),
        ("unheard://x/t.csv", "cannot open the URL: Protocol not known: unheard"),
        ("unheard://me:secret@x/t.csv", r"^unheard://\*\*\*@x/t\.csv"),
    ],
)
def test_nothing_there_is_said(path: str, expected: str) -> None:
    with pytest.raises(CatalogError, match=expected):
        open_table(path)


def test_folder_of_several_formats_asks_for_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    pq.write_table(pa.table({"id": [2]}), tmp_path / "b.parquet")
    with pytest.raises(
        CatalogError, match=r"several formats .*a\.csv.* and .*b\.parquet.*set ingest\.format"
    ):
        open_table(tmp_path)
    assert read(open_table(tmp_path, "csv")) == [{"id": "1"}]
    assert read(open_table(tmp_path, "parquet")) == [{"id": 2}]


def test_format_setting_goes_over_the_ending(tmp_path: Path) -> None:
    (tmp_path / "dump.txt").write_text("id\n1\n")
    assert read(open_table(tmp_path / "dump.txt", "csv")) == [{"id": "1"}]
    with pytest.raises(CatalogError, match="a table file in the folder"):
        open_table(tmp_path)


def test_missing_column_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item_id,Category\n1,a\n")
    with pytest.raises(CatalogError) as raised:
        open_table(tmp_path / "t.csv").schema(["item_id", "categroy"])
    assert str(raised.value) == (
        f"{tmp_path / 't.csv'}: no column 'categroy'; found item_id, Category; did you mean 'Category'?"
    )


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        (pa.int32(), pa.int64(), pa.int32()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.null(), pa.string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.large_string(), pa.dictionary(pa.int8(), pa.string())),
        (pa.timestamp("ns", "Europe/Paris"), pa.date32(), pa.timestamp("ns", "Europe/Paris")),
        (pa.int64(), pa.string(), None),
        (pa.bool_(), pa.int8(), None),
        (pa.list_(pa.string()), pa.string(), None),
        (pa.timestamp("us"), pa.int64(), None),
    ],
)
def test_files_of_a_folder_must_mean_the_same(
    tmp_path: Path, one: pa.DataType, other: pa.DataType, merged: pa.DataType | None
) -> None:
    for name, kind in (("a", one), ("b", other)):
        column = pa.array([None], kind)
        pq.write_table(pa.table({"id": [1], "x": column}), tmp_path / f"{name}.parquet")
    source = open_table(tmp_path)
    if merged is not None:
        assert source.schema(["x"]).field("x").type == merged
        return
    with pytest.raises(CatalogError, match=r"b\.parquet: column 'x' holds .* in .*a\.parquet"):
        source.schema(["x"])
    assert source.schema(["id"]).names == ["id"]  # an unused column may differ
