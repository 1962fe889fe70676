"""Pictures of a comparison say what they were given, in the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure as Picture
from small_tables import mixed_columns

from streamrec.evaluation.colours import FIRST, GROUPS, OTHER
from streamrec.evaluation.plots import to_svg
from streamrec.evaluation.synthetic.comparison import Summary
from streamrec.evaluation.synthetic.dependence import correlations
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.pictures import correlation_maps, figure_strips, plane

REAL = mixed_columns(120, 1)
SYNTHETIC = mixed_columns(120, 2, REAL)
POINTS = np.random.default_rng(0).normal(size=(90, 4)) * [3, 2, 1, 0.1]
GROUPED = [f"g{i % 10}" if i < 80 else "g0" for i in range(90)]
LABELS = {figure.key: f"{figure.label} $here$" for figure in FIGURES}
FAMILIES = {
    "flow": {"shape_error": Summary(0.02, 0.01, 0.04, 3), "precision": Summary(0.9, 0.9, 0.9, 3)},
    "vae": {"shape_error": Summary(0.08, 0.07, 0.09, 3)},
}
FLOORS = {"holdout": {"shape_error": Summary(0.025, 0.025, 0.025, 3)}, "shuffled": {}}

PICTURES: dict[str, Callable[[], Picture]] = {
    "strips": lambda: figure_strips(FIGURES, FAMILIES, FLOORS, LABELS),
    "correlations": lambda: correlation_maps(REAL, SYNTHETIC),
    "plane": lambda: plane(POINTS, POINTS + 1, GROUPED, GROUPED),
}


def texts(picture: Picture) -> list[str]:
    root = ElementTree.fromstring(to_svg(picture))
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", PICTURES)
def test_equal_input_gives_equal_bytes(name: str) -> None:
    assert to_svg(PICTURES[name]()) == to_svg(PICTURES[name]())


def test_strips_show_mean_range_and_floor_of_figures_that_someone_has() -> None:
    picture = PICTURES["strips"]()
    shape, precision = (axes for axes in picture.axes if axes.get_visible())
    drawn = [np.asarray(line.get_xdata(), dtype=float) for line in shape.lines]
    spans = [pytest.approx(expected) for expected in ([1, 4], [2], [7, 9], [8], [2.5, 2.5])]
    assert drawn == spans
    assert [text.get_text() for text in shape.get_yticklabels()] == ["flow", "vae"]
    assert len(precision.lines) == 2
    assert "Shape error, % $here$" in texts(picture)


def test_correlation_maps_show_the_difference_and_both_sides() -> None:
    picture = PICTURES["correlations"]()
    difference, real, synthetic = (axes.images[0] for axes in picture.axes if axes.images)
    mine, theirs = correlations(REAL), correlations(SYNTHETIC)
    np.testing.assert_allclose(difference.get_array(), theirs - mine)
    np.testing.assert_allclose(real.get_array(), mine)
    np.testing.assert_allclose(synthetic.get_array(), theirs)
    low, high = difference.get_clim()
    assert -low == high >= np.abs(theirs - mine).max()
    assert {"price", "stock", "age"} <= set(texts(picture))


def test_both_tables_lie_in_the_plane_of_the_real_rows() -> None:
    picture = PICTURES["plane"]()
    left, right = picture.axes
    real, synthetic = (np.asarray(axes.collections[0].get_offsets()) for axes in (left, right))
    # The axes of largest variance are the first two coordinates; the shift is the same for every row.
    assert np.abs(np.corrcoef(real[:, 0], POINTS[:, 0])[0, 1]) > 0.98
    assert np.abs(np.corrcoef(real[:, 1], POINTS[:, 1])[0, 1]) > 0.98
    assert np.std(synthetic - real, axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert np.abs((synthetic - real)[0]).max() > 0.5
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()


def test_the_most_frequent_groups_have_a_colour_and_the_rest_one() -> None:
    picture = PICTURES["plane"]()
    shades = picture.axes[0].collections[0].get_facecolors()[:, :3]
    # g0 is the most frequent, g8 and g9 come after the eight colours.
    for row, colour in ((0, GROUPS[0]), (85, GROUPS[0]), (3, GROUPS[3]), (8, OTHER), (9, OTHER)):
        assert shades[row] == pytest.approx(to_rgba(colour)[:3])
    assert "2 others" in texts(picture)
    assert "g0" in texts(picture)


def test_one_group_needs_no_legend() -> None:
    picture = plane(POINTS, POINTS, [""] * 90, [""] * 90)
    assert not picture.legends
    assert picture.axes[0].collections[0].get_facecolors()[0, :3] == pytest.approx(to_rgba(FIRST)[:3])
