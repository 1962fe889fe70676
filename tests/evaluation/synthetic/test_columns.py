"""Tables as comparable arrays: vocabularies of the training rows, missing cells, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from small_tables import SCHEMA, mixed_columns, mixed_table

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic import columns as module
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.schema import FeatureSchema, MultiLabelColumn

TRAIN = pa.table(
    {
        "colour": ["red", None, "blue", "red"],
        "size": pa.array([3.0, math.nan, 1.0, 3.0]),
        "tags": [["sale", "new"], None, [], ["new"]],
        "price": [1.5, None, math.nan, 2.5],
        "stock": [0, 7, None, 1],
        "age": [True, False, None, True],
    }
)
OTHER = pa.table(
    {
        "colour": pa.array(["green", "blue"]).dictionary_encode(),
        "size": [1, 2],
        "tags": [["old", "new"], ["sale"]],
        "price": [1, 2],
        "stock": pa.nulls(2),
        "age": [0.5, None],
    }
)


def test_codes_are_missing_unseen_then_the_training_values_in_order() -> None:
    train = Columns.of(TRAIN, SCHEMA)
    other = Columns.of(OTHER, SCHEMA, train)
    assert train.categories.tolist() == [[3, 3], [0, 0], [2, 2], [3, 3]]
    assert other.categories.tolist() == [[1, 2], [2, 1]]


def test_labels_are_those_of_the_training_rows_in_order() -> None:
    train = Columns.of(TRAIN, SCHEMA)
    assert [f.name for f in train.features if f.kind == "label"] == ["tags=new", "tags=sale"]
    assert train.labels.tolist() == [[1, 1], [0, 0], [0, 0], [1, 0]]
    assert Columns.of(OTHER, SCHEMA, train).labels.tolist() == [[1, 0], [0, 1]]


def test_numbers_are_raw_and_missing_ones_nan() -> None:
    nan = math.nan
    numbers = Columns.of(TRAIN, SCHEMA).numbers
    assert numbers == pytest.approx(
        np.array([[1.5, 0, 1], [nan, 7, 0], [nan, nan, nan], [2.5, 1, 1]]), nan_ok=True
    )


def test_the_matrix_has_a_column_per_feature_and_leaves_out_the_target() -> None:
    train = Columns.of(TRAIN, SCHEMA)
    names = [feature.name for feature in train.features]
    assert names == ["price", "stock", "age", "colour", "size", "tags=new", "tags=sale"]
    assert train.matrix()[3].tolist() == [2.5, 1, 1, 3, 3, 1, 0]
    assert train.matrix(without="stock")[3].tolist() == [2.5, 1, 3, 3, 1, 0]
    assert train.matrix(without="tags")[3].tolist() == [2.5, 1, 1, 3, 3]


def test_the_order_of_the_training_rows_changes_no_code() -> None:
    table = mixed_table(200, seed=0)
    order = np.random.default_rng(1).permutation(200)
    forward, shuffled = Columns.of(table, SCHEMA), Columns.of(table.take(pa.array(order)), SCHEMA)
    np.testing.assert_array_equal(shuffled.matrix(), forward[order].matrix())


def test_labels_in_one_text_are_split_at_the_delimiter() -> None:
    schema = FeatureSchema(item_id="id", multi_label=(MultiLabelColumn(name="genres", delimiter="|"),))
    found = Columns.of(pa.table({"genres": ["Drama|Comedy", None, "Drama"]}), schema)
    assert [f.label for f in found.features] == ["Comedy", "Drama"]
    assert found.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert found.numbers.shape == (3, 0)
    assert found.categories.shape == (3, 0)


def test_the_rarest_values_of_a_large_vocabulary_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_CATEGORIES", 2)
    schema = FeatureSchema(item_id="id", categorical=("colour",))
    found = Columns.of(pa.table({"colour": ["d", "a", "c", "c", "b", "d"]}), schema)
    assert found.categories[:, 0].tolist() == [3, 1, 2, 2, 1, 3]


def test_tables_read_with_their_own_vocabularies_are_not_comparable() -> None:
    train = Columns.of(TRAIN, SCHEMA)
    train.require_comparable(Columns.of(OTHER, SCHEMA, train))
    with pytest.raises(CatalogError, match="train=first"):
        train.require_comparable(Columns.of(OTHER, SCHEMA))
    with pytest.raises(CatalogError, match="two vocabularies"):
        train.require_comparable(Columns.of(TRAIN, FeatureSchema(item_id="id", categorical=("colour",))))


def test_a_slice_keeps_rows_together() -> None:
    rows = mixed_columns(50, seed=0)
    mask = rows.categories[:, 1] == 2
    assert len(rows[mask]) == mask.sum() > 0
    np.testing.assert_array_equal(rows[mask].matrix(), rows.matrix()[mask])
    np.testing.assert_array_equal(rows[10:20].labels, rows.labels[10:20])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TRAIN.slice(0, 0), ["no rows", "at least one"]),
        (TRAIN.drop(["stock"]), ["no column 'stock'"]),
        (TRAIN.append_column("stock", TRAIN["stock"]), ["2 columns named 'stock'"]),
        (TRAIN.set_column(3, "price", pa.array([1, 2, math.inf, 3])), ["'price'", "row 2", "inf", "finite"]),
        (TRAIN.set_column(3, "price", pa.array(["a", "b", "c", "d"])), ["'price'", "string", "numbers"]),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused_by_name(table: pa.Table, words: list[str]) -> None:
    with pytest.raises(CatalogError) as caught:
        Columns.of(table, SCHEMA)
    assert all(word in str(caught.value) for word in words), caught.value
