"""Pictures of recommenders side by side: each a matplotlib `Figure`, written by `plots.to_svg`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from streamrec.evaluation.colours import FIRST, GROUPS, INK, OTHER, SECOND, SOFT
from streamrec.evaluation.plots import WIDTH, in_our_style, short
from streamrec.evaluation.ranking.comparison import Part
from streamrec.evaluation.ranking.slices import Slice
from streamrec.evaluation.ranking.verdict import Difference

LINE = 0.25
"""Inches of a line of dots."""


@in_our_style
def strips(part: Part, figures: Mapping[str, str], main: str, order: Sequence[str]) -> Figure:
    """A panel per figure: each recommender's mean and interval, the main one coloured.

    Args:
        part: the candidates.
        figures: what to call each figure.
        main: the recommender that is judged.
        order: recommenders from top to bottom.
    """
    figure, panels = _panels(len(figures), len(order), order, across=4)
    for axes, (name, title) in zip(panels, figures.items(), strict=True):
        for place, recommender in enumerate(order):
            found, colour = part.figures[recommender][name], FIRST if recommender == main else SOFT
            axes.plot([found.low, found.high], [place, place], color=colour)
            axes.plot(found.mean, place, "o", color=colour, markersize=5)
        axes.set_title(title, fontsize=9.5)
    return figure


@in_our_style
def difference_strips(differences: Sequence[Difference], figures: Sequence[str], main: str) -> Figure:
    """A panel per figure: the main recommender less each baseline, with its interval and zero as a line."""
    closest = {found.baseline: found.mean for found in differences if found.figure == figures[0]}
    order = sorted(closest, key=closest.__getitem__)
    figure, panels = _panels(len(figures), len(order), [f"less {name}" for name in order], across=2)
    colours = {"above": FIRST, "level": SOFT, "below": SECOND}
    for axes, name in zip(panels, figures, strict=True):
        axes.axvline(0, color=INK, linewidth=1)
        for found in differences:
            if found.figure == name and found.baseline in closest:
                place, colour = order.index(found.baseline), colours[found.standing]
                axes.plot([found.low, found.high], [place, place], color=colour)
                axes.plot(found.mean, place, "o", color=colour, markersize=5)
        axes.set_title(f"{name}: {short(main, 24)} less each", fontsize=9.5)
    return figure


@in_our_style
def activity_lines(
    slices: Mapping[str, Sequence[Slice]], figures: Sequence[str], main: str, order: Sequence[str]
) -> Figure:
    """A panel per figure: a line per recommender over the users' activity."""
    figure = Figure((WIDTH, 3.3), layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    colours = dict(zip([name for name in order if name != main], GROUPS[1:], strict=False))
    names = [cut.name.replace(" quarter", "") for cut in slices[main]]
    for axes, name in zip(panels, figures, strict=True):
        for recommender in order:
            values = [cut.figures[name] for cut in slices[recommender]]
            ours = recommender == main
            axes.plot(
                values,
                color=FIRST if ours else colours.get(recommender, OTHER),
                linewidth=2.6 if ours else 1.3,
                marker="o",
                markersize=4,
                label=short(recommender) if axes is panels[0] else None,
                zorder=3 if ours else 2,
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_title(name, fontsize=9.5)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.06)
    figure.legend(loc="outside lower center", ncols=min(len(order), 6), fontsize=8.5)
    return figure


@in_our_style
def group_dots(
    slices: Mapping[str, Sequence[Slice]], figures: Sequence[str], main: str, against: str
) -> Figure:
    """A panel per figure: the main recommender and one other on each group of items.

    Args:
        slices: of both recommenders, the same groups in the same order.
        figures: as in `ndcg@10`.
        main, against: their names.
    """
    names = [cut.name for cut in slices[main]]
    figure, panels = _panels(len(figures), len(names), names, across=2)
    for axes, name in zip(panels, figures, strict=True):
        pairs = zip(slices[main], slices[against], strict=True)
        for place, (mine, theirs) in enumerate(pairs):
            values = theirs.figures[name], mine.figures[name]
            axes.plot(values, [place, place], color=OTHER, zorder=1)
            for value, colour, label in zip(values, (SECOND, FIRST), (against, main), strict=True):
                shown = short(label) if axes is panels[0] and place == 0 else None
                axes.plot(value, place, "o", color=colour, markersize=5, label=shown)
        axes.set_title(name, fontsize=9.5)
        axes.set_xlim(left=0)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _panels(count: int, rows: int, names: Sequence[str], across: int) -> tuple[Figure, list[Axes]]:
    """Panels that share one list of names from top to bottom."""
    across = min(across, count)
    down = math.ceil(count / across)
    figure = Figure((WIDTH, 0.3 + down * (0.7 + LINE * max(rows, 2))), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False, sharey=True).flat)
    for axes in panels:
        axes.set_yticks(range(rows), [short(name) for name in names])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.tick_params(axis="x", labelsize=8.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.08)
        axes.set_ylim(rows - 0.4, -0.6)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]
