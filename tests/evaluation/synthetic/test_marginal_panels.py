"""Panels show shares of real and synthetic rows over the same bins, the worst columns first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from small_tables import SCHEMA, mixed_columns, mixed_table

from streamrec.evaluation.plots import to_svg
from streamrec.evaluation.synthetic import marginal_panels as module
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.marginal_panels import marginals
from streamrec.schema import FeatureSchema

REAL = mixed_columns(200, 1)
SYNTHETIC = mixed_columns(150, 2, REAL)
ERRORS = {"price": 0.1, "stock": 0.2, "age": 0.05, "colour": 0.4, "size": 0.3, "tags": 0.15}


def panels(figure: Figure) -> dict[str, Axes]:
    """Visible panels by column, in order."""
    return {axes.get_title("left").split("  ")[0]: axes for axes in figure.axes if axes.get_visible()}


def heights(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values and edges of the real and of the synthetic steps."""
    return [(step.get_data().values, step.get_data().edges) for step in axes.patches]


def numbers(real: list[float | None], synthetic: list[float | None]) -> Axes:
    schema = FeatureSchema(item_id="id", numeric=("x",))
    mine = Columns.of(pa.table({"x": pa.array(real, pa.float64())}), schema)
    theirs = Columns.of(pa.table({"x": pa.array(synthetic, pa.float64())}), schema, mine)
    return panels(marginals(mine, theirs, {"x": 0.5}))["x"]


def test_the_worst_columns_come_first_and_the_rest_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(panels(marginals(REAL, SYNTHETIC, ERRORS))) == [
        "colour", "size", "stock", "tags", "price", "age",
    ]  # fmt: skip
    monkeypatch.setattr(module, "SHOWN_PANELS", 2)
    assert list(panels(marginals(REAL, SYNTHETIC, ERRORS))) == ["colour", "size"]


def test_equal_input_gives_equal_bytes() -> None:
    assert to_svg(marginals(REAL, SYNTHETIC, ERRORS)) == to_svg(marginals(REAL, SYNTHETIC, ERRORS))


@pytest.mark.parametrize("column", ["price", "stock", "age"])
def test_numbers_are_shares_over_the_same_bins(column: str) -> None:
    (real, edges), (synthetic, others) = heights(panels(marginals(REAL, SYNTHETIC, ERRORS))[column])
    assert real.sum() == pytest.approx(1)
    assert synthetic.sum() == pytest.approx(1)
    np.testing.assert_array_equal(edges, others)
    assert (np.diff(edges) > 0).all()


def test_few_whole_numbers_have_a_bin_each() -> None:
    (real, edges), (synthetic, _) = heights(numbers([0.0, 0, 1, 3], [0.0, 3, 3, 9]))
    assert edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert real.tolist() == [0.5, 0.25, 0, 0.25]
    # Beyond the last bin counts in it.
    assert synthetic.tolist() == [0.25, 0, 0, 0.75]


def test_a_heavy_tail_is_drawn_by_order_of_magnitude() -> None:
    sizes = np.exp(np.random.default_rng(0).normal(5, 2, 500)).tolist()
    assert numbers(sizes, sizes).get_xscale() == "symlog"
    assert numbers(np.log(sizes).tolist(), [1.0]).get_xscale() == "linear"


@pytest.mark.parametrize("real", [[2.5] * 8, [1e300] * 8, [None] * 8, [0.0] * 7 + [None]])
def test_columns_with_nothing_to_tell_are_drawn_too(real: list[float | None]) -> None:
    axes = numbers(real, [1.0, None] * 4)
    assert b"missing" in to_svg(axes.figure)  # type: ignore[arg-type]


def test_categories_and_labels_are_shares_of_rows() -> None:
    table = mixed_table(200, 1)
    shown = panels(marginals(REAL, SYNTHETIC, ERRORS))
    names = [text.get_text() for text in shown["colour"].texts]
    assert sorted(names) == ["(missing)", "blue", "green", "red"]
    bars = [bar.get_height() for bar in shown["colour"].containers[0]]
    cells = table["colour"].to_pylist()
    assert bars == pytest.approx([cells.count(None if n == "(missing)" else n) / 200 for n in names])
    assert bars == sorted(bars, reverse=True)
    labels = [text.get_text() for text in shown["tags"].texts]
    made = [bar.get_height() for bar in shown["tags"].containers[1]]
    lists = mixed_table(150, 2)["tags"].to_pylist()
    assert made == pytest.approx([sum(label in tags for tags in lists) / 150 for label in labels])


def test_a_category_that_no_training_row_has_is_shown() -> None:
    table = mixed_table(150, 2).set_column(0, "colour", pa.array(["violet"] * 150))
    found = marginals(REAL, Columns.of(table, SCHEMA, REAL), ERRORS)
    assert "(unseen)" in [text.get_text() for text in panels(found)["colour"].texts]
