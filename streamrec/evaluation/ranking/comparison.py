"""`RankingComparison`: recommenders side by side on one split, over seeds, with intervals over users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.errors import EvaluationError
from streamrec.evaluation.ranking.bootstrap import REPLICATES, columns_of, interval, replicate_means
from streamrec.evaluation.ranking.quality import RankingQuality, beyond_names, figure_names
from streamrec.evaluation.ranking.slices import ItemGroups, Slice, by_activity, by_group
from streamrec.evaluation.ranking.verdict import Difference, Verdict

JUDGED = ("ndcg@10", "recall@20")
"""Figures on which a recommender has to beat its baselines, unless told otherwise."""


@dataclass(frozen=True)
class Estimate:
    """A figure of one recommender: the mean over seeds of the means over users."""

    mean: float
    low: float
    high: float
    """95% interval over users; of figures that are no mean over users, the range over seeds."""
    by_seed: dict[int, float]


@dataclass(frozen=True)
class Part:
    """The recommenders on one set of candidates: overall, warm or cold items."""

    name: str
    users: int
    """Users judged, the mean over seeds rounded."""
    candidates: int
    """Items that could be recommended, the mean over seeds rounded."""
    figures: dict[str, dict[str, Estimate]]
    """By recommender, then by figure."""
    differences: tuple[Difference, ...]
    """Of the main recommender, against every other, on every metric."""

    def best(self, figure: str) -> str:
        """The recommender whose mean is the highest."""
        return max(self.figures, key=lambda name: self.figures[name][figure].mean)


@dataclass(frozen=True)
class RankingComparison:
    """One split, several recommenders and seeds."""

    split: str
    """Its name, as `time`."""
    why: str
    """What it is and why it answers the question, in sentences."""
    main: str
    """The recommender that has to beat the others."""
    baselines: tuple[str, ...]
    """Those it has to beat; any further recommender is only shown."""
    judged: tuple[str, ...]
    seeds: tuple[int, ...]
    replicates: int
    """Draws of users behind the intervals."""
    parts: dict[str, Part]
    """The part that is judged comes first."""
    slices: dict[str, list[Slice]]
    """Of the judged part by recommender, means over seeds; `figures` are the judged ones."""

    @classmethod
    def of(
        cls,
        split: str,
        why: str,
        parts: Mapping[str, Sequence[RankingQuality]],
        main: str,
        baselines: Sequence[str] | None = None,
        judged: Sequence[str] = JUDGED,
        groups: Sequence[ItemGroups] = (),
        replicates: int = REPLICATES,
    ) -> RankingComparison:
        """Compare.

        Args:
            split, why: the split's name and its reason.
            parts: for each set of candidates, the judged one first, every recommender's quality under
                every seed; the users of a seed are the same for all.
            main: name of the recommender that has to beat the baselines.
            baselines: names of those it has to beat; None for all others.
            judged: figures that decide.
            groups: of items, for slices.
            replicates: draws of the bootstrap.

        Raises:
            EvaluationError: the trials are not one per recommender and seed, their users differ, or a name
                is not among them.
        """
        trials = {name: _by_seed(name, found) for name, found in parts.items()}
        first = next(iter(trials.values()))
        seeds, names = tuple(first), tuple(next(iter(first.values())))
        chosen = tuple(name for name in names if name != main) if baselines is None else tuple(baselines)
        for name in (main, *chosen):
            if name not in names:
                raise EvaluationError(f"{name}: not among the recommenders judged ({', '.join(names)})")
        return cls(
            split=split,
            why=why,
            main=main,
            baselines=chosen,
            judged=tuple(judged),
            seeds=seeds,
            replicates=replicates,
            parts={name: _part(name, found, main, replicates) for name, found in trials.items()},
            slices={name: _slices([first[seed][name] for seed in seeds], judged, groups) for name in names},
        )

    @property
    def first(self) -> Part:
        """The part that is judged."""
        return next(iter(self.parts.values()))

    @property
    def verdict(self) -> Verdict:
        """Of the main recommender on the judged part."""
        return Verdict(
            self.main,
            self.judged,
            tuple(
                found
                for found in self.first.differences
                if found.figure in self.judged and found.baseline in self.baselines
            ),
            {figure: self.first.figures[self.main][figure].mean for figure in self.judged},
        )

    @property
    def beats_baselines(self) -> bool:
        """Whether the main recommender may be promoted by its figures."""
        return self.verdict.beats_baselines


Trials = dict[int, dict[str, RankingQuality]]
"""By seed, then by recommender."""


def _by_seed(part: str, qualities: Sequence[RankingQuality]) -> Trials:
    trials: Trials = {}
    for quality in qualities:
        of_seed = trials.setdefault(quality.seed, {})
        if quality.recommender in of_seed:
            raise EvaluationError(f"{part}: {quality.recommender} is judged twice under seed {quality.seed}")
        of_seed[quality.recommender] = quality
    if not trials:
        raise EvaluationError(f"{part}: no trials; expected one per recommender and seed")
    names = set(next(iter(trials.values())))
    for seed, of_seed in trials.items():
        if set(of_seed) != names:
            apart = ", ".join(sorted(set(of_seed) ^ names))
            raise EvaluationError(
                f"{part}: seed {seed} lacks or adds {apart}; judge all under the same seeds"
            )
        first = next(iter(of_seed.values()))
        for quality in of_seed.values():
            if not np.array_equal(quality.users, first.users):
                raise EvaluationError(
                    f"{part}: {quality.recommender} and {first.recommender} are judged on different users "
                    f"under seed {seed}; judge all on the same seen and test events"
                )
    return trials


def _part(name: str, trials: Trials, main: str, replicates: int) -> Part:
    tables = [
        columns_of({recommender: quality.per_user() for recommender, quality in of_seed.items()})
        for of_seed in trials.values()
    ]
    order = tables[0][0]
    values = [table[:, [names.index(column) for column in order]] for names, table in tables]
    firsts = [next(iter(of_seed.values())) for of_seed in trials.values()]
    drawn = replicate_means([quality.users for quality in firsts], values, seed=0, replicates=replicates)
    by_seed = np.stack([table.mean(0) for table in values])
    recommenders = tuple(dict.fromkeys(recommender for recommender, _ in order))
    place = {column: at for at, column in enumerate(order)}
    figures = {
        recommender: {
            figure: Estimate(
                float(by_seed[:, at].mean()),
                *interval(drawn[:, at]),
                dict(zip(trials, map(float, by_seed[:, at]), strict=True)),
            )
            for figure in figure_names()
            for at in [place[recommender, figure]]
        }
        | _beyond([of_seed[recommender] for of_seed in trials.values()])
        for recommender in recommenders
    }
    differences = [
        _difference(baseline, figure, by_seed.mean(0), drawn, place[main, figure], place[baseline, figure])
        for baseline in recommenders
        if baseline != main and main in recommenders
        for figure in figure_names()
    ]
    users = round(np.mean([len(quality) for quality in firsts]))
    candidates = round(np.mean([quality.candidates.sum() for quality in firsts]))
    return Part(name, users, candidates, figures, tuple(differences))


def _difference(
    baseline: str, figure: str, means: np.ndarray, drawn: np.ndarray, mine: int, theirs: int
) -> Difference:
    low, high = interval(drawn[:, mine] - drawn[:, theirs])
    ratio = float(means[mine] / means[theirs]) if means[theirs] else float("nan")
    return Difference(baseline, figure, float(means[mine] - means[theirs]), low, high, ratio)


def _beyond(qualities: Sequence[RankingQuality]) -> dict[str, Estimate]:
    found = {}
    for name in beyond_names():
        by_seed = {quality.seed: quality.mean(name) for quality in qualities}
        values = list(by_seed.values())
        found[name] = Estimate(float(np.mean(values)), min(values), max(values), by_seed)
    return found


def _slices(
    qualities: Sequence[RankingQuality], figures: Sequence[str], groups: Sequence[ItemGroups]
) -> list[Slice]:
    """Means over the seeds that have a slice; counts too."""
    found: dict[tuple[str, str], list[Slice]] = {}
    for quality in qualities:
        for cut in by_activity(quality, figures) + [s for g in groups for s in by_group(quality, g, figures)]:
            found.setdefault((cut.kind, cut.name), []).append(cut)
    return [
        Slice(
            kind,
            name,
            round(np.mean([cut.users for cut in cuts])),
            round(np.mean([cut.relevant for cut in cuts])),
            {figure: float(np.mean([cut.figures[figure] for cut in cuts])) for figure in figures},
        )
        for (kind, name), cuts in found.items()
    ]
