"""The picture of marginals: a panel per column, the synthetic distribution over the real."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from streamrec.evaluation.colours import FIRST, INK, OTHER
from streamrec.evaluation.plots import WIDTH, in_our_style, short
from streamrec.evaluation.synthetic.columns import Columns

Floats = NDArray[np.float64]

SHOWN_PANELS = 24
"""Columns whose distributions are drawn, those with the largest errors."""
SHOWN_VALUES = 8
"""Categories or labels of a panel, the most frequent among the real rows."""
BINS = 30


@in_our_style
def marginals(real: Columns, synthetic: Columns, errors: Mapping[str, float]) -> Figure:
    """Distributions of the columns with the largest errors, the synthetic over the real.

    Heights are square roots of shares, so that what a tall bar dwarfs is seen (Tukey's rootogram).

    Args:
        real, synthetic: rows read with the same vocabularies.
        errors: shape error by column of the table.
    """
    shown = sorted(errors, key=lambda name: -errors[name])[:SHOWN_PANELS]
    across = min(4, len(shown))
    down = math.ceil(len(shown) / across)
    figure = Figure((WIDTH, 0.4 + 1.45 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for axes, name in zip(panels.flat, shown, strict=False):
        if name in real.schema.numeric:
            index = real.schema.numeric.index(name)
            _number_panel(axes, real.numbers[:, index], synthetic.numbers[:, index])
        else:
            _value_panel(axes, *_value_shares(real, synthetic, name))
        axes.set_title(f"{short(name, 21)}  {100 * errors[name]:.1f}%", fontsize=8.5)
        axes.set_yscale("function", functions=(_root, np.square))
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
        axes.grid(False)
        axes.tick_params(axis="x", labelsize=7)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    handles: list[Any] = [
        Patch(color=OTHER, label="training rows"),
        Line2D([], [], color=FIRST, label="synthetic"),
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, fontsize=9)
    return figure


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _number_panel(axes: Axes, real: Floats, synthetic: Floats) -> None:
    gaps = [np.isnan(sample).mean() for sample in (real, synthetic)]
    if any(gaps):
        axes.set_xlabel(f"missing: {gaps[0]:.1%} real, {gaps[1]:.1%} synthetic", fontsize=7, labelpad=1)
    real, synthetic = real[~np.isnan(real)], synthetic[~np.isnan(synthetic)]
    if not len(real):
        return
    edges, by_size = _edges(real)
    # What lies beyond the edges stands in the outermost bins.
    heights = [
        np.histogram(np.clip(sample, edges[0], edges[-1]), edges)[0] / max(len(sample), 1)
        for sample in (real, synthetic)
    ]
    if by_size:
        axes.set_xscale("symlog", linthresh=1)
        axes.minorticks_off()
    else:
        axes.locator_params(axis="x", nbins=4)
    axes.stairs(heights[0], edges, fill=True, color=OTHER)
    axes.stairs(heights[1], edges, color=FIRST, linewidth=1.3)


def _edges(real: Floats) -> tuple[Floats, bool]:
    """Edges of bins over the middle 99% of the values, and whether to draw them by order of magnitude."""
    low, middle, high = np.quantile(real, [0.005, 0.5, 0.995])
    if low == high:
        low, high = real.min(), real.max()
    if high - low < BINS and abs(high) < 1e9 and (real == np.round(real)).all():
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5, False
    if low >= 0 and high > 20 * max(middle, 1):
        return np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1)), True
    return np.linspace(low, high if high > low else low + max(abs(low), 1), BINS + 1), False


def _value_shares(real: Columns, synthetic: Columns, name: str) -> tuple[list[str], Floats, Floats]:
    """Names of a column's most frequent categories or labels, and their shares in both tables."""
    if name in real.schema.categorical:
        index = real.schema.categorical.index(name)
        codec = real.category_codecs[index]
        names = ["(missing)", "(unseen)", *map(str, codec.vocabulary.to_pylist())]
        mine, theirs = (
            np.bincount(columns.categories[:, index], minlength=len(names)) / len(columns)
            for columns in (real, synthetic)
        )
    else:
        features = real.features[-real.labels.shape[1] :]
        chosen = [place for place, feature in enumerate(features) if feature.column == name]
        names = [str(features[place].label) for place in chosen]
        mine, theirs = (columns.labels[:, chosen].mean(0, dtype=float) for columns in (real, synthetic))
    ordered = np.argsort(-mine, kind="stable")
    order = [place for place in ordered if mine[place] or theirs[place]][:SHOWN_VALUES]
    return [names[place] for place in order], mine[order], theirs[order]


def _value_panel(axes: Axes, names: Sequence[str], real: Floats, synthetic: Floats) -> None:
    places = range(len(names))
    axes.bar(places, real, width=0.8, color=OTHER)
    axes.bar(places, synthetic, width=0.8, fill=False, edgecolor=FIRST, linewidth=1.3)
    axes.set_xticks([])
    for place, name in zip(places, names, strict=True):
        axes.annotate(
            short(name, 16),
            (place, 0),
            (0, 3),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=INK,
        )
