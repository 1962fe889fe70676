from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_bundles import SCHEMA, PlainEncoder, make_catalog, make_table, publish_small, unit

from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.items import ItemTable, Where
from streamrec.retrieval.search import Searcher

ROWS = 900
TABLE = make_table(ROWS)
LATENTS = PlainEncoder().encode(TABLE.combine_chunks().to_batches()[0])
COSINES = unit(LATENTS) @ unit(LATENTS).T
GENRE = np.array([genre or "" for genre in TABLE["genre"].to_pylist()])


@pytest.fixture(scope="module", params=["flat", "ivf"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("search")
    catalog = make_catalog(folder / "items.parquet", TABLE)
    published = publish_small(folder, catalog, index=request.param, min_recall=0.2)
    assert published.manifest.index.nprobe in (None, 1)
    return published


def best(row: int, k: int, allowed: Any = True) -> np.ndarray:
    cosines = np.where(allowed & (np.arange(ROWS) != row), COSINES[row], -np.inf)
    return -np.sort(-cosines)[:k]


@pytest.mark.parametrize("row", [0, 1, 450, ROWS - 1])
def test_filtered_neighbours_are_the_nearest_of_those_that_match(bundle: Bundle, row: int) -> None:
    found = bundle.neighbours(f"item-{row:04d}", k=7, where={"genre": ["war", "jazz"]})
    allowed = np.isin(GENRE, ["war", "jazz"])
    np.testing.assert_allclose(found.scores, best(row, 7, allowed), atol=1e-5)
    np.testing.assert_allclose(found.scores, COSINES[row][found.positions], atol=1e-5)
    assert set(found.items["genre"].to_pylist()) <= {"war", "jazz"}
    assert found.ids == [f"item-{position:04d}" for position in found.positions]


def test_the_item_itself_is_first_unless_it_is_left_out(bundle: Bundle) -> None:
    alone, among = (bundle.neighbours("item-0007", k=5, exclude_self=exclude) for exclude in (True, False))
    assert among.ids == ["item-0007", *alone.ids[:4]]
    assert among.scores[0] == pytest.approx(1, abs=1e-6)


def test_more_neighbours_than_items_gives_every_item_once(bundle: Bundle) -> None:
    found = bundle.neighbours("item-0007", k=10 * ROWS)
    assert sorted([*found.positions, 7]) == list(range(ROWS))
    np.testing.assert_allclose(found.scores, best(7, ROWS - 1), atol=1e-5)
    matching = bundle.neighbours("item-0007", k=10 * ROWS, where={"genre": "war"})
    assert sorted(matching.positions) == np.flatnonzero(GENRE == "war").tolist()


def test_a_filter_that_nothing_meets_gives_nothing(bundle: Bundle) -> None:
    found = bundle.neighbours("item-0007", where={"genre": []})
    assert (len(found), found.ids, found.items.num_rows) == (0, [], 0)
    assert found.items.column_names == ["id", "genre", "year", "adult", "tags", "added", "title"]


def test_texts_that_repeat_are_held_once_and_given_as_published(bundle: Bundle) -> None:
    items = bundle.searcher.items
    path, names = bundle.path / "embeddings.parquet", items.table.column_names
    assert pq.ParquetFile(path).num_row_groups > 10
    table = pq.read_table(path, columns=names)
    assert items.table["genre"].nbytes < 0.6 * table["genre"].nbytes
    plain = Searcher(bundle.searcher.index, ItemTable(table, SCHEMA, str(bundle.path)))
    for name in names:
        assert items.column(name).equals(table[name])
    wheres: list[Where] = [{"genre": "war"}, {"genre": ["jazz", "drama"], "tags": "t1", "adult": True}]
    for where in wheres:
        assert (items.mask(where) == plain.items.mask(where)).all()
        found, expected = (one.neighbours("item-0011", 20, where) for one in (bundle, plain))
        assert found.items.equals(expected.items, check_metadata=True)
    for searcher in (bundle, plain):
        with pytest.raises(
            BundleError, match=r"no item has 'wars' in 'genre'; did you mean 'war'\?; values: com"
        ):
            searcher.neighbours("item-0011", where={"genre": "wars"})


def test_only_the_direction_of_a_vector_counts(bundle: Bundle) -> None:
    vectors = LATENTS[:3]
    plain = bundle.search(vectors, k=4)
    for scale in (1e-30, 1e30):
        scaled = bundle.search(vectors * np.float32(scale), k=4)
        assert [result.ids for result in scaled] == [result.ids for result in plain]
    assert [result.ids[0] for result in plain] == ["item-0000", "item-0001", "item-0002"]
    assert bundle.search(vectors[0], k=4)[0].ids == plain[0].ids


def test_a_vector_of_zeros_scores_zero_with_every_item(bundle: Bundle) -> None:
    (found,) = bundle.search(np.zeros(4), k=ROWS)
    assert sorted(found.positions) == list(range(ROWS))
    assert not found.scores.any()


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[0, 1, 0, 0], [0, np.nan, 0, 0]], "vector 1 is not finite"),
        ([0, np.inf, 0, 0], "vector 0 is not finite"),
        ([0, 1e300, 0, 0], "vector 0 is not finite"),
        ([1, 2, 3], r"found shape \(3,\), expected \(q, 4\)"),
        ([[[1, 2, 3, 4]]], r"found shape \(1, 1, 4\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_vector_that_cannot_be_compared_is_refused(bundle: Bundle, vectors: Any, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        bundle.search(np.array(vectors, dtype=np.float64))


@pytest.mark.parametrize("k", [0, -3])
def test_fewer_than_one_neighbour_is_refused(bundle: Bundle, k: int) -> None:
    with pytest.raises(BundleError, match=f"k: found {k}"):
        bundle.neighbours("item-0007", k=k)


def test_equal_items_are_neighbours_but_not_of_themselves(tmp_path: Path) -> None:
    table = TABLE.slice(0, 30)
    for name in "abc":
        position = table.column_names.index(name)
        table = table.set_column(position, name, [np.full(30, 1.0)])
    bundle = publish_small(tmp_path, make_catalog(tmp_path / "items.parquet", table))
    for row in range(30):
        found = bundle.neighbours(f"item-{row:04d}", k=5)
        assert row not in found.positions
        assert len(set(found.ids)) == 5
        np.testing.assert_allclose(found.scores, 1, atol=1e-6)


def test_the_text_of_a_number_finds_a_numbered_item(tmp_path: Path) -> None:
    bundle = publish_small(tmp_path, make_catalog(tmp_path / "items.parquet", make_table(50, text_ids=False)))
    assert bundle.neighbours("7", k=3).ids == bundle.neighbours(7, k=3).ids
    assert all(isinstance(identifier, int) for identifier in bundle.neighbours("7", k=3).ids)
