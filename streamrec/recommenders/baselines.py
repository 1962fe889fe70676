"""The classical recommenders by name: their grids, the choice of a setting on validation, the refit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import groupby, product
from types import MappingProxyType
from typing import Any

from streamrec.evaluation.ranking.evaluate import evaluate
from streamrec.evaluation.ranking.protocol import Recommender
from streamrec.interactions.content import ItemContent
from streamrec.interactions.splits import Split
from streamrec.interactions.table import Interactions
from streamrec.recommenders.als import als, als_with_map, als_with_neighbours, factorise
from streamrec.recommenders.content_knn import content_knn
from streamrec.recommenders.ease import MAX_ITEMS, ease
from streamrec.recommenders.forms import RecommenderError
from streamrec.recommenders.popular import popular, recent_popular
from streamrec.recommenders.profile import profile
from streamrec.recommenders.ridge import content_ridge

Settings = Mapping[str, Any]
Fit = Callable[[Interactions, ItemContent, Sequence[Settings], int], Iterator[Recommender]]


@dataclass(frozen=True)
class Family:
    """A way to fit a recommender, and the settings among which validation chooses."""

    grid: Mapping[str, Sequence[Any]]
    """Values of each setting; every combination is tried. Those that cost a fit of their own come first."""
    fit: Fit
    """One recommender per combination, in order; what they share is computed once."""

    def combinations(self) -> list[Settings]:
        """Every combination of the grid, the last setting changing fastest."""
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]


@dataclass(frozen=True)
class Tuned:
    """What validation chose for one family."""

    settings: Settings
    score: float
    """The chosen setting's figure on validation; NaN where there was nothing to choose."""
    trials: tuple[tuple[Settings, float], ...]
    """Every combination and its figure."""


def unavailable(name: str, items: int) -> str | None:
    """Why a baseline cannot be fitted to a catalogue of `items` here; None where it can.

    Raises:
        RecommenderError: there is no baseline of that name.
    """
    _family(name)
    if name == "ease" and items > MAX_ITEMS:
        return f"{items:,} items, at most {MAX_ITEMS:,} can be inverted"
    if name.startswith("als") and find_spec("implicit") is None:
        return "the library implicit is not installed (pip install 'streamrec[als]')"
    return None


def tune(
    names: Sequence[str], split: Split, content: ItemContent, figure: str, seed: int
) -> dict[str, Tuned]:
    """Choose each baseline's settings by `figure` (as in `ndcg@10`) on validation, fitted to training only.

    Where items are held out, validation ranks the validation's held-out items alone, as the test does.
    Of equal settings the first of the grid is taken.

    Raises:
        RecommenderError: a name is unknown, or a baseline cannot be fitted.
    """
    chosen = {}
    for name in names:
        family = _family(name)
        combinations = family.combinations()
        if len(combinations) == 1:
            chosen[name] = Tuned(combinations[0], float("nan"), ())
            continue
        trials = []
        for settings, recommender in zip(
            combinations, family.fit(split.train, content, combinations, seed), strict=True
        ):
            quality = evaluate(recommender, split.train, split.validation, split.cold_validation, seed)
            trials.append((settings, quality.mean(figure)))
        best = max(range(len(trials)), key=lambda at: trials[at][1])
        chosen[name] = Tuned(*trials[best], tuple(trials))
    return chosen


def fit_baselines(
    settings: Mapping[str, Settings], events: Interactions, content: ItemContent, seed: int
) -> list[Recommender]:
    """Fit each named baseline with its settings, to `split.fit` once settings are chosen.

    Users without events get the popularity order from every one of them.

    Raises:
        RecommenderError: a name or a setting is unknown, or a baseline cannot be fitted.
    """
    fitted: list[Recommender] = []
    for name, values in settings.items():
        family = _family(name)
        if set(values) != set(family.grid):
            raise RecommenderError(
                f"{name}: settings {sorted(values)}, expected {sorted(family.grid)}; name those and no others"
            )
        fitted.extend(family.fit(events, content, [values], seed))
    return fitted


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise RecommenderError(f"baseline '{name}' is unknown; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


def _each(
    make: Callable[..., Recommender],
    events: Interactions,
    content: ItemContent,
    settings: Sequence[Settings],
    seed: int,
) -> Iterator[Recommender]:
    """Every setting a fit of its own, of a recommender that reads events only."""
    return (make(events, **values) for values in settings)


def _profiles(
    view: str,
    name: str,
    events: Interactions,
    content: ItemContent,
    settings: Sequence[Settings],
    seed: int,
) -> Iterator[Recommender]:
    return (profile(events, getattr(content, view), name=name, **values) for values in settings)


def _ridges(
    events: Interactions, content: ItemContent, settings: Sequence[Settings], seed: int
) -> Iterator[Recommender]:
    return (content_ridge(events, content.features, **values) for values in settings)


def _content_knn(
    events: Interactions, content: ItemContent, settings: Sequence[Settings], seed: int
) -> Iterator[Recommender]:
    for centred, group in groupby(settings, key=lambda values: values["centred"]):
        counts = [values["neighbours"] for values in group]
        yield from content_knn(events, content.features, counts, centred, seed)


def _als(
    events: Interactions, content: ItemContent, settings: Sequence[Settings], seed: int
) -> Iterator[Recommender]:
    return (als(factorise(events, seed=seed, **values)) for values in settings)


def _als_map(
    events: Interactions, content: ItemContent, settings: Sequence[Settings], seed: int
) -> Iterator[Recommender]:
    for (alpha, penalty), group in groupby(settings, key=lambda values: (values["alpha"], values["penalty"])):
        factors = factorise(events, alpha, penalty, seed)
        for values in group:
            yield als_with_map(factors, content.features, values["map_penalty"])


def _als_knn(
    events: Interactions, content: ItemContent, settings: Sequence[Settings], seed: int
) -> Iterator[Recommender]:
    for (alpha, penalty), outer in groupby(settings, key=lambda values: (values["alpha"], values["penalty"])):
        factors = factorise(events, alpha, penalty, seed)
        for centred, group in groupby(outer, key=lambda values: values["centred"]):
            counts = [values["neighbours"] for values in group]
            yield from als_with_neighbours(factors, content.features, counts, centred, seed)


_ALS_GRID = {"alpha": (1.0, 2.0, 4.0, 8.0), "penalty": (1.0, 5.0, 10.0, 20.0, 40.0, 80.0)}
_COLD_ALS_GRID = {"alpha": (1.0, 2.0, 8.0), "penalty": (1.0, 10.0, 20.0, 40.0)}
_NEIGHBOURS = (5, 10, 20, 50, 100, 200)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "popular": Family({}, partial(_each, popular)),
        "recent-popular": Family(
            {"half_life_days": (1.0, 3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)},
            partial(_each, recent_popular),
        ),
        "content-knn": Family({"centred": (False, True), "neighbours": _NEIGHBOURS}, _content_knn),
        "content-profile": Family(
            {"centred": (False, True)}, partial(_profiles, "features", "content-profile")
        ),
        "latent-profile": Family({"centred": (False, True)}, partial(_profiles, "latents", "latent-profile")),
        "content-ridge": Family({"penalty": (0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 10000.0)}, _ridges),
        "als": Family(_ALS_GRID, _als),
        "als-map": Family({**_COLD_ALS_GRID, "map_penalty": (0.1, 1.0, 10.0, 100.0, 1000.0)}, _als_map),
        "als-knn": Family({**_COLD_ALS_GRID, "centred": (False, True), "neighbours": _NEIGHBOURS}, _als_knn),
        "ease": Family(
            {"penalty": (10.0, 30.0, 50.0, 100.0, 200.0, 350.0, 500.0, 1000.0)}, partial(_each, ease)
        ),
    }
)
"""Every baseline by its name."""

WARM = (
    "popular",
    "recent-popular",
    "content-knn",
    "content-profile",
    "latent-profile",
    "content-ridge",
    "als",
    "ease",
)
"""Baselines of a split where every item may have events."""
COLD = ("popular", "content-knn", "content-profile", "latent-profile", "content-ridge", "als-map", "als-knn")
"""Baselines of a split where items are held out; `popular` cannot tell them apart and shows chance."""
