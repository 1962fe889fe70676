from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamrec.schema import FeatureSchema, MultiLabelColumn

NAMES = st.lists(st.sampled_from([f"c{i}" for i in range(12)]), unique=True, min_size=2)


@st.composite
def schemas(draw: st.DrawFn) -> FeatureSchema:
    """Schemas over any split of distinct columns into roles, with at least one feature."""
    item_id, *rest = draw(NAMES)
    roles = draw(st.lists(st.sampled_from("cmnd"), min_size=len(rest), max_size=len(rest)))
    roles[0] = draw(st.sampled_from("cmn"))
    named = {role: [name for name, r in zip(rest, roles, strict=True) if r == role] for role in "cmnd"}
    delimiters = st.sampled_from([None, "|", " "])
    return FeatureSchema(
        item_id=item_id,
        categorical=tuple(named["c"]),
        multi_label=tuple(MultiLabelColumn(name=name, delimiter=draw(delimiters)) for name in named["m"]),
        numeric=tuple(named["n"]),
        display=tuple(named["d"]),
    )


@given(schemas())
def test_json_round_trip_keeps_schema_and_fingerprint(schema: FeatureSchema) -> None:
    again = FeatureSchema.model_validate_json(schema.model_dump_json())
    assert again == schema
    assert again.fingerprint == schema.fingerprint


@given(schemas(), schemas())
def test_fingerprints_are_equal_exactly_when_schemas_are(left: FeatureSchema, right: FeatureSchema) -> None:
    assert (left.fingerprint == right.fingerprint) == (left == right)


@given(schemas())
def test_columns_lists_every_named_column_once(schema: FeatureSchema) -> None:
    assert len(set(schema.columns)) == len(schema.columns)
    assert schema.columns[0] == schema.item_id
    assert set(schema.columns) == {
        schema.item_id,
        *schema.categorical,
        *schema.multi_label_names,
        *schema.numeric,
        *schema.display,
    }


@pytest.mark.parametrize(
    "other",
    [
        FeatureSchema(item_id="id", numeric=("b", "a")),
        FeatureSchema(item_id="id", numeric=("a",), categorical=("b",)),
        FeatureSchema(item_id="id", numeric=("a", "b"), timestamp="t"),
    ],
)
def test_fingerprint_sees_order_and_role(other: FeatureSchema) -> None:
    assert other.fingerprint != FeatureSchema(item_id="id", numeric=("a", "b")).fingerprint


def test_fingerprint_sees_the_delimiter() -> None:
    assert (
        FeatureSchema(item_id="id", multi_label=({"name": "tags", "delimiter": "|"},)).fingerprint
        != FeatureSchema(item_id="id", multi_label=("tags",)).fingerprint
    )


def test_fingerprint_is_stable_across_versions() -> None:
    # Published bundles carry fingerprints: this value may change only together with the bundle format.
    schema = FeatureSchema(
        item_id="item_id", categorical=("channel",), multi_label=("tags",), numeric=("words",)
    )
    assert schema.fingerprint == "7ae0ff3cc81455f3"


def test_plain_names_stand_for_multi_label_columns_without_delimiter() -> None:
    schema = FeatureSchema.model_validate(
        {"item_id": "id", "multi_label": ["tags", {"name": "cast", "delimiter": "|"}]}
    )
    assert schema.multi_label == (MultiLabelColumn(name="tags"), MultiLabelColumn(name="cast", delimiter="|"))
    assert schema.multi_label_names == ("tags", "cast")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"item_id": "id", "categorical": ["a"], "numeric": ["a"]}, "'a' has two roles"),
        ({"item_id": "id", "numeric": ["id", "x"]}, "'id' has two roles"),
        ({"item_id": "id", "numeric": ["x"], "timestamp": "x"}, "'x' has two roles"),
        ({"item_id": "id", "display": ["title"]}, "no feature column"),
        ({"item_id": "id", "numeric": ["x"], "numbers": ["y"]}, "Extra inputs are not permitted"),
    ],
)
def test_refuses_what_cannot_be_meant(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FeatureSchema.model_validate(fields)
