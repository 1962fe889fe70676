"""What is told of imputed cells, against tables made by hand."""

from __future__ import annotations

import pyarrow as pa

from streamrec.augmenters.uncertainty import uncertainty_lines
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(item_id="id", categorical=("kind",), multi_label=("tags",), numeric=("x", "y"))


def table(kind: list[str | None], tags: list[list[str] | None], x: list[float | None]) -> pa.Table:
    return pa.table(
        {
            "id": list(range(len(x))),
            "kind": pa.array(kind, pa.string()),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "x": pa.array(x, pa.float64()),
            "y": pa.array([1.0] * len(x)),
        }
    )


def test_spread_and_agreement_are_those_of_the_draws() -> None:
    before = table(["a", None, None], [[], None, ["n"]], [0.0, 2.0, None])
    draws = [
        table(["a", "a", "b"], [[], ["n"], ["n"]], [0.0, 2.0, 1.0]),
        table(["a", "a", "a"], [[], ["n"], ["n"]], [0.0, 2.0, 3.0]),
    ]
    header, kind, tags, x = uncertainty_lines(before, draws, SCHEMA)
    assert header == ("column", "cells", "filled", "draws")
    assert kind == ("kind", "2", "2", "75% agree")
    assert tags == ("tags", "1", "1", "100% agree")
    # Draws 1 and 3 are 1.41 apart from their mean; the cells that were there, 0 and 2, deviate by 1.
    assert x == ("x", "1", "1", "spread 1.41, 141% of the column's")


def test_cells_that_stay_missing_are_not_counted_as_filled() -> None:
    before = table([None, None], [[], []], [float("nan"), 1.0])
    lines = uncertainty_lines(before, [before, before], SCHEMA)
    assert lines[1] == ("kind", "2", "0", "")
    assert lines[2][:3] == ("x", "1", "0")


def test_a_table_without_missing_cells_is_told_so() -> None:
    whole = table(["a"], [[]], [1.0])
    assert uncertainty_lines(whole, [whole], SCHEMA) == [("no missing cell",)]
