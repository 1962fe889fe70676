"""Pictures say what they were given, in the same bytes each time, and sit in a page without touching it."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from streamrec.evaluation import plots
from streamrec.evaluation.colours import FIRST, GROUPS, INK, OTHER, THEME
from streamrec.evaluation.inline import inline_svg

SVG = "{http://www.w3.org/2000/svg}"
EPOCHS = [
    {
        "epoch": epoch,
        "train_loss": 90 / epoch,
        "valid_loss": 95 / epoch,
        "valid_distortion": 80 / epoch,
        "valid_rate": 10 * (1 - 1 / epoch),
        "beta": min(epoch / 10, 0.5),
    }
    for epoch in range(1, 31)
]
POINTS = np.random.default_rng(0).normal(size=(60, 2))
CHANNELS = pa.chunked_array([[f"channel {row % 12}" for row in range(60)]])


def columns(count: int) -> list[dict[str, object]]:
    kinds = ("number", "category", "labels")
    return [{"column": f"c{i:02d}", "kind": kinds[i % 3], "explained": 1 - i / count} for i in range(count)]


PICTURES: dict[str, Callable[[], Figure]] = {
    "training": lambda: plots.training_curves(EPOCHS, 17),
    "units": lambda: plots.unit_rates([0.5, 2.25, 0.001], [True, True, False]),
    "map": lambda: plots.latent_map(POINTS, CHANNELS, "channel", [0.4, 0.2]),
    "columns": lambda: plots.column_bars(columns(30)),
    "interpolation": lambda: plots.path_lines(
        [0, 0.5, 1], {"price": [1.5, None, 3.0]}, {"kind": ["film", "film", "short"]}
    ),
}


def texts(figure: Figure) -> list[str]:
    root = ElementTree.fromstring(plots.to_svg(figure))
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", PICTURES)
def test_equal_input_gives_equal_bytes_whatever_matplotlib_was_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plots.to_svg(PICTURES[name]())
    for setting, value in {"axes.facecolor": "pink", "svg.hashsalt": "x", "font.size": 30}.items():
        monkeypatch.setitem(matplotlib.rcParams, setting, value)
    assert plots.to_svg(PICTURES[name]()) == first
    assert matplotlib.rcParams["axes.facecolor"] == "pink", "our style has leaked"


def test_training_curves_name_the_best_epoch_and_leave_out_what_was_not_measured() -> None:
    full = texts(plots.training_curves(EPOCHS, 17))
    assert "best: 17" in full
    assert {"distortion", "rate", "beta (shaded)"} <= set(full)
    bare = [{"epoch": epoch["epoch"], "train_loss": epoch["train_loss"]} for epoch in EPOCHS]
    assert not {"distortion", "rate", "beta (shaded)"} & set(texts(plots.training_curves(bare, 1)))


def test_the_first_epochs_fall_does_not_flatten_the_rest() -> None:
    figure = plots.training_curves([{**EPOCHS[0], "valid_loss": 1e6}, *EPOCHS[1:]], 30)
    low, high = figure.axes[1].get_ylim()
    assert low < EPOCHS[-1]["valid_loss"] < EPOCHS[1]["valid_loss"] < high < 100


def test_one_epoch_is_enough_for_a_picture() -> None:
    assert "best: 1" in texts(plots.training_curves(EPOCHS[:1], 1))


def test_units_are_ordered_by_rate_and_active_ones_coloured() -> None:
    axes = plots.unit_rates([0.5, 2.25, 0.001], [True, True, False]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "0", "2"]
    heights = {
        round(bar.get_x() + bar.get_width() / 2): (
            bar.get_height(),
            matplotlib.colors.to_hex(bar.get_facecolor()),
        )
        for bar in axes.patches
    }
    assert heights == {0: (2.25, FIRST), 1: (0.5, FIRST), 2: (0.001, OTHER)}


def test_the_map_names_the_most_frequent_groups_and_counts_the_others() -> None:
    names = (
        ["rare"] + ["common"] * 20 + [f"group {i}" for i in range(len(GROUPS)) for _ in range(3)] + [None] * 2
    )
    points = np.zeros((len(names), 2))
    shown = texts(plots.latent_map(points, pa.chunked_array([names]), "channel", [1, 0]))
    legend = shown[shown.index("common") :]
    assert legend[: len(GROUPS) + 1] == [
        "common",
        *(f"group {i}" for i in range(len(GROUPS) - 1)),
        "3 others",
    ]


def test_the_map_shows_a_number_as_a_scale_without_legend() -> None:
    figure = plots.latent_map(POINTS, pa.chunked_array([np.arange(60.0)]), "price", [0.4, 0.2])
    assert figure.axes[0].get_legend() is None
    assert "price" in texts(figure)


def test_every_point_of_a_group_is_drawn_once() -> None:
    figure = plots.latent_map(POINTS, CHANNELS, "channel", [0.4, 0.2])
    drawn = np.concatenate([c.get_offsets() for c in figure.axes[0].collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(POINTS, axis=0))


@pytest.mark.parametrize(
    ("count", "between"), [(24, None), (25, "… 1 column between"), (60, "… 36 columns between")]
)
def test_many_columns_are_cut_to_the_best_and_the_worst(count: int, between: str | None) -> None:
    shown = texts(plots.column_bars(columns(count)))
    named = [text for text in shown if re.fullmatch(r"c\d\d", text)]
    best = [f"c{i:02d}" for i in range(12)]
    worst = [f"c{i:02d}" for i in range(count - 12, count)]
    assert named == best + worst
    assert [text for text in shown if "between" in text] == ([between] if between else [])


def test_a_column_without_variance_has_no_bar_and_a_bad_one_shows_its_figure() -> None:
    rows = [
        {"column": "flat", "kind": "number", "explained": None},
        {"column": "bad", "kind": "number", "explained": -0.25},
    ]
    shown = texts(plots.column_bars(rows))
    assert "flat" not in shown
    assert {"bad", "-25%"} <= set(shown)


def test_a_strip_changes_where_the_decoded_value_changes() -> None:
    figure = plots.path_lines(
        [0, 0.25, 0.5, 0.75, 1], {}, {"kind": ["film", "film", "film", "short", "short"]}
    )
    bars = figure.axes[0].patches
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(-0.125, 0.75), (0.625, 0.5)]
    assert {"film", "short"} <= set(texts(figure))


@pytest.mark.parametrize("nasty", ["a < b & c", "--> </svg><script>", "$x^2$ and $", '"quoted"', "\\alpha_{"])
def test_names_are_text_whatever_they_hold(nasty: str) -> None:
    figure = plots.path_lines([0, 1], {nasty: [1, 2]}, {"kind": [nasty, "b"], nasty: ["c", "d"]})
    assert texts(figure).count(nasty) == 3
    assert "<script" not in inline_svg(plots.to_svg(figure), "p", "label")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_in_a_page_refers_to_itself_alone_and_follows_the_page(name: str) -> None:
    text = inline_svg(plots.to_svg(PICTURES[name]()), name, "What it shows")
    assert text.startswith('<svg role="img" aria-label="What it shows" viewBox=')
    assert "http" not in text
    assert "<style" not in text
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert all(identifier.startswith(f"{name}-") for identifier in ids)
    used = re.findall(r'(?:href="|url\()#([^")]*)', text)
    assert set(used) <= set(ids)
    styles = " ".join(re.findall(r'style="([^"]*)"', text))
    assert not [colour for colour in THEME if colour in styles]
    assert f"var(--{THEME[INK]})" in styles
    assert "DejaVu" not in styles
    ElementTree.fromstring(text.replace("xlink:href", "href"))
