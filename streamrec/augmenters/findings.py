"""A comparison of augmenters in numbers, lines and words: for the tracker, the console and the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamrec.evaluation import formats
from streamrec.evaluation.synthetic.figures import FIGURES, Figure
from streamrec.evaluation.synthetic.outputs import COMPARISON_PAGE, COMPARISON_TABLE

if TYPE_CHECKING:
    from streamrec.augmenters.compare import Compared
    from streamrec.evaluation.synthetic.comparison import Comparison, Summary


@dataclass(frozen=True)
class Findings:
    """A comparison as it is told: in the tracker, in reports and of the registered version."""

    best: str
    """The family that was chosen."""
    folder: Path
    """Folder of the comparison; the best family's augmenter is in a folder of its name."""
    reason: str
    """Why it was."""
    leaks: bool
    """Whether it gives training rows away."""
    metrics: dict[str, float]
    """See `metrics`."""
    facts: dict[str, str]
    """See `facts`."""
    lines: list[tuple[str, ...]]
    """See `lines`."""
    description: str
    """See `markdown`."""

    @classmethod
    def of(cls, compared: Compared) -> Findings:
        """What there is to tell of fitted families."""
        comparison, labels = compared.comparison, compared.labels
        return cls(
            comparison.best,
            compared.folder,
            reason(comparison),
            comparison.best in comparison.leaks,
            metrics(comparison),
            facts(comparison),
            lines(comparison, labels),
            markdown(comparison, labels),
        )

    @property
    def model(self) -> Path:
        """Folder of the augmenter that was chosen."""
        return self.folder / self.best

    @property
    def table(self) -> Path:
        """Every number of the comparison."""
        return self.folder / COMPARISON_TABLE

    @property
    def page(self) -> Path:
        """The comparison for people."""
        return self.folder / COMPARISON_PAGE


def metrics(comparison: Comparison) -> dict[str, float]:
    """The mean of every figure and cost, by `augmenters/<family or floor>/<measure>`."""
    parts = (comparison.figures, comparison.costs)
    found = {
        f"augmenters/{name.replace(' ', '_')}/{measure}": summary.mean
        for part in parts
        for name, summaries in part.items()
        for measure, summary in summaries.items()
    }
    ranks = {f"augmenters/{family}/mean_rank": rank for family, rank in comparison.mean_ranks.items()}
    return found | ranks


def facts(comparison: Comparison) -> dict[str, str]:
    """What a registered version of the best family is tagged with: the reason, and its figures as written."""
    found = comparison.figures[comparison.best]
    figures = {f.key: f.write(found[f.key].mean) for f in FIGURES if f.key in found}
    return {"reason": reason(comparison), "seeds": str(_seeds(comparison)), **figures}


def lines(comparison: Comparison, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A header and a line per figure and cost: means of the floors and then of the families.

    The figures are those that choose, their mean rank, and the likelihood.
    """
    blank = [""] * len(comparison.floors)
    ranks = (f"{comparison.mean_ranks[family]:.2f}" for family in comparison.families)
    found = [("", *comparison.figures)]
    found += [_line(figure, comparison, labels) for figure in FIGURES if figure.chooses]
    found.append(("Mean rank", *blank, *ranks))
    found += [_line(figure, comparison, labels) for figure in FIGURES if figure.key == "nll"]
    for measure, label in COSTS.items():
        costs = (comparison.costs[family].get(measure) for family in comparison.families)
        found.append((label, *blank, *map(_cost, costs)))
    return found


COSTS = {
    "training_seconds": "Training, s",
    "sampling_seconds": "Sampling, s",
    "steps": "Network evaluations per row",
}


def reason(comparison: Comparison) -> str:
    """Why the best family was chosen, in one sentence or two."""
    best = comparison.best
    ranks = ", ".join(f"{family} {rank:.2f}" for family, rank in comparison.mean_ranks.items())
    seeds = _seeds(comparison)
    among = " of the families that give no training rows away" if comparison.leaks else ""
    told = f"{best} has the lowest mean rank{among}: {ranks}; {seeds} table{'s' * (seeds > 1)} each."
    leaks = "; ".join(f"{family}: {how}" for family, how in comparison.leaks.items())
    return f"{told} Training rows are given away by {leaks}." if leaks else told


def markdown(comparison: Comparison, labels: Mapping[str, str]) -> str:
    """The reason and the lines as a page."""
    header, *rows = lines(comparison, labels)
    written = ["|".join(("", *cells, "")) for cells in (header, ("---",) * len(header), *rows)]
    return f"{reason(comparison)}\n\n" + "\n".join(written) + "\n"


def _seeds(comparison: Comparison) -> int:
    return max(summary.seeds for summary in comparison.figures[comparison.best].values())


def _line(figure: Figure, comparison: Comparison, labels: Mapping[str, str]) -> tuple[str, ...]:
    found = (values.get(figure.key) for values in comparison.figures.values())
    return labels[figure.key], *(figure.write(None if cell is None else cell.mean) for cell in found)


def _cost(summary: Summary | None) -> str:
    return formats.ABSENT if summary is None else formats.number(summary.mean, 3)
