"""The map: neighbours stay together, the same bundle gives the same map, everything has a place on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_bundles import SCHEMA, make_catalog, make_table, publish_small

from streamrec.evaluation.neighbours import nearest
from streamrec.retrieval.bundle import Bundle
from streamrec.serving.explorer.columns import MAX_VALUES, ColumnCodes, kinds
from streamrec.serving.explorer.item_map import LARGEST, ItemMap, neighbours, to_frame
from streamrec.serving.explorer.layout import arrange, principal_plane
from streamrec.serving.explorer.suggest import suggest


def clusters(count: int, size: int, dimension: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around `count` directions, of length 1, and which direction each is from."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(count), size)
    vectors = rng.normal(size=(count, dimension))[label] + 0.25 * rng.normal(size=(len(label), dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), label


@pytest.fixture(scope="module")
def whole(bundle: Bundle) -> ItemMap:
    return ItemMap.of(bundle)


def same_cluster(places: np.ndarray, label: np.ndarray) -> float:
    """Share of the five nearest places that are of a point's own cluster."""
    found = nearest(places.astype(np.float32), np.arange(len(places)), 5)
    return float((label[found] == label[:, None]).mean())


def test_clusters_that_the_principal_plane_mixes_come_apart() -> None:
    vectors, label = clusters(count=20, size=40)
    start = principal_plane(vectors)
    arranged = arrange(start, neighbours(vectors, 0), 0)
    assert same_cluster(start, label) < 0.85
    assert same_cluster(arranged, label) > 0.98


def test_the_same_arguments_arrange_alike_and_another_seed_does_not() -> None:
    vectors, _ = clusters(count=3, size=20)
    start, near = principal_plane(vectors), neighbours(vectors, 0)
    again = arrange(start, near, 1)
    np.testing.assert_array_equal(arrange(start, near, 1), again)
    assert not np.array_equal(arrange(start, near, 2), again)


def test_equal_vectors_and_few_of_them_have_finite_places() -> None:
    for rows in (1, 2, 3, 40):
        vectors = np.ones((rows, 4), dtype=np.float32) / 2
        arranged = arrange(principal_plane(vectors), neighbours(vectors, 0), 0)
        assert arranged.shape == (rows, 2)
        assert np.isfinite(arranged).all()
        assert to_frame(arranged).dtype == np.uint16


def test_neighbours_are_the_nearest_others() -> None:
    vectors, _ = clusters(count=4, size=30)
    found = neighbours(vectors, 0)
    assert not (found == np.arange(len(vectors))[:, None]).any()
    np.testing.assert_array_equal(np.sort(found), np.sort(nearest(vectors, np.arange(len(vectors)), 10)))


def test_inverted_lists_find_nearly_all_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = clusters(count=20, size=100)
    exact = neighbours(vectors, 0)
    monkeypatch.setattr("streamrec.serving.explorer.item_map.EXACT_POINTS", 10)
    found = neighbours(vectors, 0)
    shared = [len(set(one) & set(other)) for one, other in zip(found.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) > 9


def test_the_frame_keeps_the_shape_and_bears_an_outlier() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.uniform(size=(10_000, 2)).astype(np.float32) * [2, 1] + 50
    cloud[17] = [1e6, 50.5]
    places = to_frame(cloud).astype(int)
    inner = np.delete(places, 17, axis=0)
    width, height = inner.max(0) - inner.min(0)
    assert width > 0.9 * LARGEST
    assert abs(height / width - 0.5) < 0.02
    assert places[17, 0] == LARGEST


def test_every_item_is_on_the_map_of_a_small_bundle(whole: ItemMap, bundle: Bundle) -> None:
    assert not whole.sampled
    assert len(whole.places) == bundle.manifest.rows
    points, places = whole.places_of(np.array([199, 0]))
    assert points.tolist() == [199, 0]
    np.testing.assert_array_equal(places, whole.places[[199, 0]])


def test_two_processes_make_the_same_map(whole: ItemMap, bundle: Bundle) -> None:
    np.testing.assert_array_equal(ItemMap.of(Bundle.open(bundle.path)).places, whole.places)


def test_a_larger_bundle_is_sampled_by_its_seed_and_its_other_items_lie_beside_their_neighbours(
    bundle: Bundle,
) -> None:
    sampled = ItemMap.of(bundle, max_points=120)
    assert sampled.sampled
    np.testing.assert_array_equal(ItemMap.of(bundle, max_points=120).positions, sampled.positions)
    left_out = np.setdiff1d(np.arange(200), sampled.positions)
    points, places = sampled.places_of(left_out)
    assert (points == -1).all()
    vectors = bundle.searcher.index.vectors(np.arange(200))
    cosines = vectors[left_out] @ vectors[sampled.positions].T
    closest = sampled.places[cosines.argmax(1)].astype(float)
    anywhere = np.roll(closest, 7, axis=0)
    distance = np.linalg.norm(places - closest, axis=1)
    assert np.median(distance) < 0.3 * np.median(np.linalg.norm(places - anywhere, axis=1))


def test_an_item_is_placed_where_it_is(whole: ItemMap, bundle: Bundle) -> None:
    rows = np.arange(0, 200, 5)
    placed = whole.place(3 * bundle.searcher.index.vectors(rows)).astype(float)
    own = whole.places[rows].astype(float)
    spread = np.linalg.norm(whole.places - whole.places.mean(0), axis=1).mean()
    assert np.linalg.norm(placed - own, axis=1).mean() < 0.2 * spread


def codes_of(values: list[object], rows: list[int], kind: pa.DataType) -> ColumnCodes:
    half = len(values) // 2
    column = pa.chunked_array([pa.array(values[:half], kind), pa.array(values[half:], kind)])
    return ColumnCodes.of(column, np.array(rows))


def test_values_are_listed_by_number_of_items_then_by_name() -> None:
    found = codes_of(["b", "a", None, "c", "c", "d", "a"], [0, 2, 3, 6], pa.string())
    assert (found.values, found.counts) == (["a", "c", "b", "d"], [2, 2, 1, 1])
    assert found.codes.tolist() == [2, -1, 1, 0]
    assert (found.missing, found.others, found.starts) == (1, 0, None)


def test_numbers_and_truths_are_values_too() -> None:
    assert codes_of([3, 3, 7, None], [2, 0], pa.int64()).values == ["3", "7"]
    assert codes_of([True, False, True, True], [1], pa.bool_()).codes.tolist() == [1]


def test_labels_are_told_row_by_row() -> None:
    found = codes_of(
        [["x", "y"], None, [], ["y"], ["z", "x", "y"], ["y"]], [4, 1, 2, 0], pa.list_(pa.string())
    )
    assert (found.values, found.counts) == (["y", "x", "z"], [4, 2, 1])
    assert found.starts is not None
    assert found.starts.tolist() == [0, 3, 3, 3, 5]
    assert found.codes.tolist() == [2, 1, 0, 1, 0]
    assert found.missing == 2


def test_rare_values_of_many_are_counted_together() -> None:
    values = [f"v{i:04d}" for i in range(MAX_VALUES + 30)] + ["v0000"]
    found = codes_of(list(values), list(range(len(values))), pa.string())
    assert len(found.values) == MAX_VALUES
    assert found.values[0] == "v0000"
    assert found.others == 30
    assert (found.codes == -1).sum() == 30


def test_an_empty_column_lists_nothing() -> None:
    found = codes_of([None, None], [1, 0], pa.string())
    assert (found.values, found.codes.tolist(), found.missing) == ([], [-1, -1], 2)


def test_only_categories_and_labels_can_be_coloured_by() -> None:
    assert kinds(SCHEMA) == {"genre": "category", "year": "category", "adult": "category", "tags": "labels"}


def test_suggestions_begin_with_the_text_or_have_it(bundle: Bundle) -> None:
    items = bundle.searcher.items
    assert suggest(items, "ITEM-0007") == [{"id": "item-0007", "title": "Item 7"}]
    titles = [found["title"] for found in suggest(items, "item 19", most=4)]
    assert titles == ["Item 19", "Item 190", "Item 191", "Item 192"]
    assert suggest(items, "0199") == [{"id": "item-0199", "title": "Item 199"}]
    assert suggest(items, "nothing of the kind") == []
    assert suggest(items, "") == []


def test_integer_ids_are_found_by_their_digits(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "items.parquet", make_table(text_ids=False))
    items = publish_small(tmp_path / "published", catalog).searcher.items
    assert [found["id"] for found in suggest(items, "15", most=3)] == [15, 150, 151]
