"""Pictures of a training and of a latent space: each a matplotlib `Figure`, written as SVG by `to_svg`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import pyarrow as pa
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from streamrec.evaluation.colours import ACCENT, FIRST, GRID, GROUPS, INK, OTHER, PAGE, SECOND, SOFT

WIDTH = 9.0
"""Inches; the report scales a picture to its column."""
SHOWN_COLUMNS = 24
"""Bars of a column plot; more columns are cut to the best and the worst halves."""

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": PAGE,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "figure.facecolor": PAGE,
    "legend.frameon": True,
    "legend.framealpha": 1.0,
    "legend.facecolor": PAGE,
    "legend.edgecolor": PAGE,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "streamrec",
}

P = ParamSpec("P")


def in_our_style(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in our style whatever the user's matplotlibrc says: equal input gives equal bytes."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style.context(["default", _STYLE]):
            return draw(*args, **kwargs)

    return styled


def to_svg(figure: Figure) -> bytes:
    """The picture as an SVG file; equal figures give equal bytes. Text stays text."""
    content = io.BytesIO()
    with style.context(["default", _STYLE]):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", dpi=200, metadata=metadata)
    return content.getvalue()


@in_our_style
def training_curves(epochs: Sequence[Mapping[str, float]], best_epoch: int) -> Figure:
    """Losses, and the ELBO's two halves, by epoch; beta on a second axis; the best epoch marked.

    Curves that the epochs have no numbers for are left out.
    """
    figure = Figure((WIDTH, 2.9), layout="constrained")
    training, validation, halves = figure.subplots(1, 3)
    _curves(training, epochs, {"train_loss": "training"})
    _curves(validation, epochs, {"valid_loss": "validation"})
    _curves(halves, epochs, {"valid_distortion": "distortion", "valid_rate": "rate"})
    training.set_title("Training loss")
    validation.set_title("Validation loss")
    halves.set_title("Validation ELBO, its halves")
    for axes in (training, validation, halves):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.axvline(best_epoch, color=SOFT, linewidth=1, linestyle=(0, (2, 2)), label=f"best: {best_epoch}")
        axes.legend(loc="upper right")
    if all("beta" in epoch for epoch in epochs):
        weight = halves.twinx()
        weight.grid(False)
        weight.fill_between(
            [epoch["epoch"] for epoch in epochs], [epoch["beta"] for epoch in epochs], color=SOFT, alpha=0.13
        )
        weight.set_ylim(0, 2 * max(max(epoch["beta"] for epoch in epochs), 1e-9))
        weight.set_ylabel("beta (shaded)")
        weight.yaxis.set_major_locator(MaxNLocator(4))
    return figure


def _curves(axes: Axes, epochs: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> None:
    seen = []
    for (key, label), colour in zip(names.items(), (FIRST, SECOND), strict=False):
        values = [epoch[key] for epoch in epochs if key in epoch]
        if values:
            axes.plot([epoch["epoch"] for epoch in epochs if key in epoch], values, color=colour, label=label)
            # The first epochs' fall would flatten everything that comes after.
            seen += values[min(len(values) // 20, 5) :]
    if seen:
        margin = 0.06 * (max(seen) - min(seen)) or 1.0
        axes.set_ylim(min(seen) - margin, max(seen) + margin)


@in_our_style
def unit_rates(kl_per_unit: Sequence[float], active: Sequence[bool]) -> Figure:
    """Bars of the rate (nats) that each latent unit carries, largest first; active units coloured."""
    order = sorted(range(len(kl_per_unit)), key=lambda unit: -kl_per_unit[unit])
    figure = Figure((WIDTH, 2.5), layout="constrained")
    axes = figure.subplots()
    for wanted, colour, label in ((True, FIRST, "active"), (False, OTHER, "inactive")):
        places = [place for place, unit in enumerate(order) if active[unit] is wanted]
        if places:
            axes.bar(places, [kl_per_unit[order[place]] for place in places], color=colour, label=label)
    if len(order) <= 40:
        axes.set_xticks(range(len(order)), [str(unit) for unit in order])
    axes.set(xlabel="latent unit, largest rate first", ylabel="nats")
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper right")
    return figure


@in_our_style
def latent_map(points: NDArray[Any], colour: pa.ChunkedArray, name: str, shares: Sequence[float]) -> Figure:
    """Points (n, 2) of the latents' principal plane, coloured by a column's values.

    Args:
        points: coordinates.
        colour: (n,) a category (text, integers, booleans: the most frequent in the legend) or floats.
        name: what the colour is.
        shares: of the latents' variance along the two axes.
    """
    figure = Figure((WIDTH, 5.0), layout="constrained")
    axes = figure.subplots()
    size = float(np.clip(15000 / max(len(points), 1), 4, 16))
    mark: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.75, "rasterized": True}
    if pa.types.is_floating(colour.type):
        values = colour.to_numpy()
        low, high = np.nanpercentile(values, [2, 98]) if np.isfinite(values).any() else (0, 1)
        drawn = axes.scatter(
            points[:, 0], points[:, 1], c=values, cmap="viridis", vmin=low, vmax=high, **mark
        )
        bar = figure.colorbar(drawn, ax=axes, label=name)
        bar.outline.set_visible(False)  # type: ignore[operator]
    else:
        names = [str(value) if value is not None else "(missing)" for value in colour.to_pylist()]
        tally = dict(sorted(_count(names).items(), key=lambda pair: (-pair[1], pair[0])))
        legend = dict(zip(tally, GROUPS, strict=False))
        groups = [([name == value for name in names], value, shade) for value, shade in legend.items()]
        if len(tally) > len(legend):
            others = [name not in legend for name in names]
            groups.append((others, f"{len(tally) - len(legend):,} others", OTHER))
        for rows, label, shade in groups:
            axes.scatter(points[rows, 0], points[rows, 1], color=shade, label=short(label), **mark)
        shown = axes.legend(
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            title=short(name),
            alignment="left",
            markerscale=6 / math.sqrt(size),
        )
        for handle in shown.legend_handles:
            handle.set_alpha(1)  # type: ignore[union-attr]
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second ({shares[1]:.0%})")
    return figure


@in_our_style
def column_bars(columns: Sequence[Mapping[str, Any]]) -> Figure:
    """Bars of how much of each column the latent explains, best first; middle ones left out of many."""
    known = sorted((c for c in columns if c["explained"] is not None), key=lambda c: -c["explained"])
    half, between = SHOWN_COLUMNS // 2, max(len(known) - SHOWN_COLUMNS, 0)
    shown = [*known[:half], *known[-half:]] if between else known
    places = [place + (between > 0 and place >= half) for place in range(len(shown))]
    lines = max(len(shown) + (between > 0), 2)
    figure = Figure((WIDTH, 0.6 + 0.235 * lines), layout="constrained")
    axes = figure.subplots()
    for kind, colour in {"number": FIRST, "category": SECOND, "labels": ACCENT}.items():
        bars = [(p, max(c["explained"], 0)) for p, c in zip(places, shown, strict=True) if c["kind"] == kind]
        if bars:
            at, widths = zip(*bars, strict=True)
            axes.barh(at, widths, height=0.72, color=colour, label=kind)
    small: dict[str, Any] = {"va": "center", "fontsize": 8.5, "color": SOFT}
    for place, column in zip(places, shown, strict=True):
        axes.text(max(column["explained"], 0) + 0.008, place, f"{column['explained']:.0%}", **small)
    if between:
        noun = "column" if between == 1 else "columns"
        axes.text(0.008, half, f"… {between:,} {noun} between", **small)
    axes.set_yticks(places, [short(column["column"]) for column in shown])
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.set(xlim=(0, 1.08), ylim=(lines - 0.4, -0.6))
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.grid(axis="y", visible=False)
    if shown:
        axes.legend(loc="lower right")
    return figure


@in_our_style
def path_lines(
    path: Sequence[float], numbers: Mapping[str, Sequence[Any]], words: Mapping[str, Sequence[str]]
) -> Figure:
    """How a decoded row changes on the way between two items: a panel per number, a strip per other column.

    Args:
        path: (s,) share of the way.
        numbers: values (s,) by column; None where missing.
        words: categories or labels (s,) by column, as text.
    """
    columns = min(3, max(len(numbers), 1))
    lines = math.ceil(len(numbers) / columns)
    figure = Figure((WIDTH, 1.55 * lines + 0.33 * len(words) + 0.3), layout="constrained")
    grid = figure.add_gridspec(
        lines + bool(words),
        columns,
        height_ratios=[1.0] * lines + [max(0.25 * len(words), 0.3)] * bool(words),
    )
    for index, (name, values) in enumerate(numbers.items()):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        drawn = [math.nan if value is None else float(value) for value in values]
        axes.plot(path, drawn, color=FIRST, marker="o", markersize=3.5)
        axes.set_title(short(name), fontsize=9.5)
        axes.set_xticks([0, 0.5, 1], ["A", "", "B"])
        axes.margins(y=0.15)
    if words:
        axes = figure.add_subplot(grid[lines, :])
        _strips(axes, path, words)
    return figure


def _strips(axes: Axes, path: Sequence[float], words: Mapping[str, Sequence[str]]) -> None:
    step = path[1] - path[0]
    for row, values in enumerate(words.values()):
        shades = dict(zip(dict.fromkeys(values), GROUPS * len(values), strict=False))
        start = 0
        for stop in range(1, len(values) + 1):
            if stop == len(values) or values[stop] != values[start]:
                width = (stop - start) * step
                left = path[start] - step / 2
                axes.barh(row, width, left=left, height=0.8, color=shades[values[start]], alpha=0.35)
                text = short(values[start], max(3, int(70 * width)))
                axes.text(left + width / 2, row, text, ha="center", va="center", fontsize=8.5, color=INK)
                start = stop
    axes.set_yticks(range(len(words)), [short(name) for name in words])
    axes.set_xticks([0, 1], ["A", "B"])
    axes.set(xlim=(-step / 2, 1 + step / 2), ylim=(len(words) - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _count(names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def short(text: str, width: int = 28) -> str:
    """The text on one line for a picture, cut to `width` characters; `$` does not begin mathematics."""
    text = " ".join(text.split()).replace("$", r"\$")
    return text if len(text) <= width else text[: width - 1] + "…"
