"""Pictures of synthetic tables beside the real one: each a matplotlib `Figure`, written by `plots.to_svg`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from streamrec.evaluation.colours import FIRST, GROUPS, INK, OTHER, SECOND, SOFT
from streamrec.evaluation.neighbours import pca
from streamrec.evaluation.plots import WIDTH, in_our_style, short
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.comparison import Summary
from streamrec.evaluation.synthetic.dependence import correlations
from streamrec.evaluation.synthetic.figures import Figure

Floats = NDArray[np.float64]

SHOWN_TICKS = 60
"""Numeric columns that a correlation matrix still names."""
FLOOR_STYLES = ((SOFT, (0, (4, 2))), (SECOND, (0, (1, 1.5))))
"""Colour and dashes of the first and of the second floor."""


@in_our_style
def figure_strips(
    figures: Sequence[Figure],
    families: Mapping[str, Mapping[str, Summary]],
    floors: Mapping[str, Mapping[str, Summary]],
    labels: Mapping[str, str],
) -> Picture:
    """A panel per figure: the mean and range of each family, floors as lines across.

    Args:
        figures: those to draw; what no family has is left out.
        families, floors: `Comparison.figures`, by name and `Figure.key`.
        labels: what to call each figure, by key.
    """
    shown = [figure for figure in figures if any(figure.key in family for family in families.values())]
    across = min(4, max(len(shown), 1))
    down = math.ceil(len(shown) / across)
    picture = Picture((WIDTH, 0.45 + down * (0.75 + 0.24 * len(families))), layout="constrained")
    panels = picture.subplots(down, across, squeeze=False, sharey=True)
    names = list(families)
    for axes, figure in zip(panels.flat, shown, strict=False):
        factor = 100 if figure.percent else 1
        for place, name in enumerate(names):
            if (found := families[name].get(figure.key)) is not None:
                axes.plot([factor * found.low, factor * found.high], [place, place], color=FIRST)
                axes.plot(factor * found.mean, place, "o", color=FIRST, markersize=5)
        for (colour, dashes), floor in zip(FLOOR_STYLES, floors.values(), strict=False):
            if (found := floor.get(figure.key)) is not None:
                axes.axvline(factor * found.mean, color=colour, linestyle=dashes, linewidth=1.5)
        axes.set_title(short(labels[figure.key], 30), fontsize=9.5)
        axes.set_yticks(range(len(names)), [short(name, 22) for name in names])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.tick_params(axis="x", labelsize=8.5)
        axes.margins(x=0.08)
        axes.set_ylim(len(names) - 0.4, -0.6)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=1.5, label=name)
        for (colour, dashes), name in zip(FLOOR_STYLES, floors, strict=False)
    ]
    if handles:
        picture.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=9)
    return picture


@in_our_style
def correlation_maps(real: Columns, synthetic: Columns) -> Picture:
    """Pearson correlations of the numeric columns: synthetic less real, and each by itself."""
    mine, theirs = correlations(real), correlations(synthetic)
    difference = theirs - mine
    names = real.schema.numeric
    picture = Picture((WIDTH, float(np.clip(3 + 0.08 * len(names), 3.2, 5.6))), layout="constrained")
    grid = picture.add_gridspec(2, 2, width_ratios=[2.1, 1])
    large, upper, lower = (picture.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
    reach = max(math.ceil(20 * float(np.abs(difference).max())) / 20, 0.05)
    for axes, matrix, limit, title, beside in (
        (large, difference, reach, "Synthetic less real", [large]),
        (upper, mine, 1.0, "Training rows", None),
        (lower, theirs, 1.0, "Synthetic", [upper, lower]),
    ):
        drawn = axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        if beside is not None:
            bar = picture.colorbar(drawn, ax=beside, shrink=0.6, ticks=[-limit, 0, limit])
            bar.ax.tick_params(labelsize=8)
            bar.outline.set_visible(False)  # type: ignore[operator]
        axes.set_title(title, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    if len(names) <= SHOWN_TICKS:
        size = float(np.clip(260 / len(names), 4.5, 9))
        large.set_yticks(range(len(names)), [short(name) for name in names], fontsize=size)
        large.tick_params(axis="y", labelcolor=INK, length=0)
    return picture


@in_our_style
def plane(
    real: Floats, synthetic: Floats, real_groups: Sequence[str], synthetic_groups: Sequence[str]
) -> Picture:
    """Real and synthetic rows side by side in the plane of the real rows' first two principal components.

    The plane is cut to the middle 98% of the real rows, and a little more, along each axis.

    Args:
        real, synthetic: coordinates (n, D) and (m, D) in the `DistanceSpace`.
        real_groups, synthetic_groups: what colours each row; the groups most frequent among the real rows
            have a colour of their own.
    """
    mean, components, placed = pca(real.astype(np.float32), 2)
    low, high = np.quantile(placed, [0.01, 0.99], axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    ordered = [name for name, _ in Counter(real_groups).most_common()]
    colours = dict(zip(ordered, GROUPS, strict=False)) if len(ordered) > 1 else dict.fromkeys(ordered, FIRST)
    mark: dict[str, Any] = {"s": float(np.clip(12000 / len(real), 3, 14)), "linewidths": 0, "alpha": 0.6}
    picture = Picture((WIDTH, 4.4), layout="constrained")
    left, right = picture.subplots(1, 2)
    for axes, title, points, groups in (
        (left, "Training rows", placed, real_groups),
        (right, "Synthetic", (synthetic.astype(np.float32) - mean) @ components.T, synthetic_groups),
    ):
        shades = [colours.get(group, OTHER) for group in groups]
        axes.scatter(points[:, 0], points[:, 1], c=shades, rasterized=True, **mark)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    if len(ordered) > 1:
        named = {short(name, 20): colour for name, colour in colours.items()}
        if len(ordered) > len(colours):
            named[f"{len(ordered) - len(colours):,} others"] = OTHER
        handles = [
            Line2D([], [], marker="o", linestyle="", markersize=5, color=colour, label=name)
            for name, colour in named.items()
        ]
        picture.legend(
            handles=handles,
            loc="outside lower center",
            ncols=5 if len(handles) > 8 else 8,
            fontsize=8.5,
            handletextpad=0.2,
            columnspacing=1.2,
        )
    return picture
