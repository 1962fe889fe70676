"""`Verdict`: whether a recommender beats its baselines, and by how much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A figure of the recommender judged less that of a baseline, for the same users and seeds."""

    baseline: str
    figure: str
    mean: float
    low: float
    high: float
    """95% interval over users, paired."""
    ratio: float
    """Of the two figures; NaN where the baseline's is 0."""

    @property
    def standing(self) -> str:
        """`above` or `below` where the interval leaves zero out, else `level`."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "level"


@dataclass(frozen=True)
class Verdict:
    """Whether a recommender beats all its baselines."""

    recommender: str
    judged: tuple[str, ...]
    differences: tuple[Difference, ...]
    """Judged figures against every baseline."""
    figures: dict[str, float]
    """The recommender's judged figures."""

    @property
    def beats_baselines(self) -> bool:
        """Every judged figure is above every baseline's, with intervals that leave zero out.

        All comparisons must hold, so their number calls for no correction (an intersection-union test:
        Berger, Multiparameter hypothesis testing and acceptance sampling, 1982).
        """
        return bool(self.differences) and all(found.standing == "above" for found in self.differences)

    def closest(self, figure: str) -> Difference:
        """The difference from the best baseline on a judged figure."""
        return min((found for found in self.differences if found.figure == figure), key=lambda d: d.mean)

    def lines(self) -> list[str]:
        """The verdict, and per judged figure how the recommender stands against the best baseline."""
        if not self.differences:
            return [f"{self.recommender}: no baselines to beat"]
        does = "beats" if self.beats_baselines else "does not beat"
        return [
            f"{self.recommender} {does} its baselines on {' and '.join(self.judged)}",
            *map(self._line, self.judged),
        ]

    def _line(self, figure: str) -> str:
        found, mine = self.closest(figure), self.figures[figure]
        return (
            f"{figure}: {mine:.4f} against {mine - found.mean:.4f} of {found.baseline}, "
            f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}): {found.standing}"
        )
