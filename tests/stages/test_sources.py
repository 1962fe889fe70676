"""A table is known by its content, a bundle's items by all that towers read of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from streamrec.errors import CatalogError
from streamrec.stages.sources import ids_digest, source_digest


def table(path: Path, text: str = "id,kind\n1,a\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_same_content_elsewhere_is_the_same(tmp_path: Path) -> None:
    assert source_digest(table(tmp_path / "a/items.csv")) == source_digest(table(tmp_path / "b/items.csv"))


@pytest.mark.parametrize("other", ["id,kind\n1,b\n", "id,kind\n1,a\n2,a\n", ""])
def test_another_content_is_another(tmp_path: Path, other: str) -> None:
    path = tmp_path / "items.csv"
    before = source_digest(table(path))
    assert source_digest(table(path, other)) != before


def test_how_a_file_is_read_counts(tmp_path: Path) -> None:
    path = table(tmp_path / "items.csv")
    assert source_digest(path) != source_digest(path, "tsv")


def test_files_of_a_folder_count_with_their_names(tmp_path: Path) -> None:
    for folder, names in (
        ("one", ("a=1/x", "a=2/x")),
        ("two", ("a=2/x", "a=3/x")),
        ("same", ("a=1/x", "a=2/x")),
    ):
        for name in names:
            table(tmp_path / folder / f"{name}.csv")
    one, two, same = (source_digest(str(tmp_path / folder)) for folder in ("one", "two", "same"))
    assert one == same != two


@pytest.mark.parametrize(
    "url", ["https://example.org/items.csv", "s3://bucket/items.parquet", "zip::file.zip"]
)
def test_a_url_is_not_read_for_it(url: str) -> None:
    assert source_digest(url) is None


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nothing\.csv: no such file"):
        source_digest(str(tmp_path / "nothing.csv"))


def test_ids_count_with_their_order_and_type() -> None:
    ids = pa.chunked_array([["a", "b"], ["c"]])
    assert ids_digest(ids) == ids_digest(pa.chunked_array([["x", "a", "b", "c"]]).slice(1))
    assert ids_digest(ids) != ids_digest(pa.chunked_array([["b", "a", "c"]]))
    assert ids_digest(pa.chunked_array([[1]])) != ids_digest(pa.chunked_array([["1"]]))
