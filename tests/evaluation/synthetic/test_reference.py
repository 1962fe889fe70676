"""The real rows are read once, their targets chosen or checked, and both sides of privacy are as large."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from small_tables import SCHEMA, mixed_table

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic import reference as module
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.schema import FeatureSchema

TRAIN, HELD_OUT = mixed_table(200, 1), mixed_table(60, 2)


def test_targets_are_the_first_category_and_the_last_number_without_a_word() -> None:
    found = Reference.of(TRAIN, HELD_OUT, SCHEMA)
    assert (found.category, found.number) == ("colour", "age")
    chosen = Reference.of(TRAIN, HELD_OUT, SCHEMA, category="size", number="price")
    assert (chosen.category, chosen.number) == ("size", "price")


def test_targets_that_teach_nothing_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    train = TRAIN.set_column(TRAIN.column_names.index("age"), "age", pa.array([5.0] * 200))
    monkeypatch.setattr(module, "MOST_CLASSES", 3)
    # The colour has four values with the missing one, the age is constant.
    found = Reference.of(train, HELD_OUT, SCHEMA)
    assert (found.category, found.number) == ("size", "stock")


def test_a_schema_may_have_no_target() -> None:
    labels = FeatureSchema(item_id="id", multi_label=("tags",))
    found = Reference.of(TRAIN, HELD_OUT, labels)
    assert (found.category, found.number) == (None, None)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"category": "price"}, r"found target 'price', expected a categorical column.*colour, size"),
        ({"number": "weight"}, r"found target 'weight', expected a numeric column.*price, stock, age"),
    ],
)
def test_a_target_of_another_role_is_refused(targets: dict[str, str], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        Reference.of(TRAIN, HELD_OUT, SCHEMA, **targets)


def test_rows_that_cannot_judge_are_refused_by_the_side_they_are_on() -> None:
    with pytest.raises(CatalogError, match=r"held-out rows to judge by: found 5 rows, .* at least 6"):
        Reference.of(TRAIN, HELD_OUT[:5], SCHEMA)
    with pytest.raises(CatalogError, match=r"training rows to judge by: found no column 'stock'"):
        Reference.of(TRAIN.drop_columns(["stock"]), HELD_OUT, SCHEMA)


@pytest.mark.parametrize(("train", "held_out"), [(200, 60), (30, 60)])
def test_both_sides_have_as_many_rows_drawn_from_all(train: int, held_out: int) -> None:
    found = Reference.of(TRAIN[:train], HELD_OUT[:held_out], SCHEMA)
    members, others = found.equal_sides(seed=0)
    assert len(members) == len(others) == min(train, held_out)
    for drawn, of in ((members, found.train_points), (others, found.held_out_points)):
        assert {row.tobytes() for row in drawn} <= {row.tobytes() for row in of}
    again, _ = found.equal_sides(seed=0)
    np.testing.assert_array_equal(members, again)
    if train > held_out:
        assert not np.array_equal(members, found.equal_sides(seed=1)[0])
        assert not np.array_equal(members, found.train_points[:held_out])


def test_only_feature_columns_are_kept_and_encoded() -> None:
    seen: list[list[str]] = []

    def encode(table: pa.Table) -> np.ndarray:
        seen.append(table.column_names)
        return np.zeros((len(table), 2))

    train, held_out = (t.append_column("note", pa.nulls(len(t))) for t in (TRAIN, HELD_OUT))
    found = Reference.of(train, held_out, SCHEMA, latents=encode)
    assert found.train.column_names == found.held_out.column_names == list(SCHEMA.feature_columns)
    assert seen == [list(SCHEMA.feature_columns)]
    assert found.train_latents is not None
    assert found.train_latents.shape == (200, 2)
