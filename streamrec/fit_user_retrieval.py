"""From a bundle's items and users' events to fitted towers, judged beside classical recommenders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.table import Catalog
from streamrec.config import CodecConfig
from streamrec.evaluation.latents import feature_matrix
from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.evaluate import cold_parts, evaluate_parts
from streamrec.evaluation.ranking.page import write_rankings
from streamrec.evaluation.ranking.protocol import Recommender
from streamrec.evaluation.ranking.quality import RankingQuality, figure_names
from streamrec.evaluation.ranking.slices import ItemGroups
from streamrec.interactions.content import ItemContent
from streamrec.interactions.file import load_interactions
from streamrec.interactions.splits import Split, split
from streamrec.interactions.table import Interactions
from streamrec.recommenders.baselines import fit_baselines, tune, unavailable
from streamrec.recommenders.fit_towers import TowersRecommender, fit_towers
from streamrec.recommenders.forms import RecommenderError
from streamrec.recommenders.towers import Towers
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import item_content
from streamrec.retrieval.manifest import TowerFacts
from streamrec.retrieval.write_towers import write_towers
from streamrec.training.history import History
from streamrec.user_config import BASELINES, UserRetrievalConfig

FITTED, TOWERS, RANKINGS = "two_tower", "towers", "rankings"
"""Folders of a run: the trained model, what `write_towers` makes of it, its comparison."""
HISTORY = "history.json"
MAX_GROUPS = 100
"""Columns with more values than that are not looked at value by value."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class UserData:
    """What towers are fitted to."""

    content: ItemContent
    """Of the bundle's items, in its order."""
    events: Interactions
    """All of them; users of the users' table come first."""
    user_features: NDArray[np.float32] | None
    """(U, G), zeros for users whom the users' table does not have."""
    user_codec: FeatureCodec | None
    """What made them."""


def load_user_data(bundle: Bundle, events: Path, users: Catalog | None) -> UserData:
    """Arrays from a bundle, a canonical file of events with its items, and a table of users.

    Raises:
        InteractionsError: the events are not of these items, or users have ids of different types.
        BundleError: the bundle's files are gone.
    """
    content = item_content(bundle)
    item_ids = bundle.searcher.items.ids.column.combine_chunks()
    if users is None:
        return UserData(content, load_interactions(events, item_ids), None, None)
    table = users.table()
    codec = FeatureCodec.fit(table, users.schema, CodecConfig())
    known = feature_matrix(codec.encode(table), codec.layout)
    interactions = load_interactions(events, item_ids, table[users.schema.item_id].combine_chunks())
    features = np.zeros((len(interactions.user_ids), known.shape[1]), np.float32)
    features[: len(known)] = known
    return UserData(content, interactions, features, codec)


@dataclass(frozen=True)
class Trained:
    """What is told of a training; the towers are in the run's folder."""

    history: History
    chosen: dict[str, float]
    """What validation chose, and its score, by name; nothing where there was no choice."""


def train_user_towers(
    data: UserData, config: UserRetrievalConfig, folder: Path, progress: Progress | None = None
) -> Trained:
    """Split the events, fit towers, and write them and `history.json` into `folder`/two_tower.

    Progress counts epochs of the trainings that are validated.

    Raises:
        SplitError: a part of the split would be empty.
        TrainingError: a loss was not finite.
    """
    done, total = 0, config.towers.train.epochs

    def advance(numbers: object) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    parts = split(data.events, config.split, config.seed)
    fitted = fit_towers(
        parts, data.content, data.user_features, config.towers, config.seed, callbacks=[advance]
    )
    place = folder / FITTED
    fitted.towers.save(place)
    (place / HISTORY).write_text(json.dumps(asdict(fitted.history), indent=1))
    found = {
        "half_life_days": fitted.half_life_days,
        "linear_penalty": fitted.penalty,
        "validation": fitted.validation,
    }
    return Trained(
        fitted.history, {f"chosen/{name}": value for name, value in found.items() if value is not None}
    )


@dataclass(frozen=True)
class Judged:
    """Towers beside their baselines on the test."""

    comparison: RankingComparison
    left_out: tuple[str, ...]
    """Baselines that could not be fitted, each with the reason."""

    @property
    def figures(self) -> dict[str, float]:
        """The towers' figures on the judged part."""
        return {
            name: found.mean for name, found in self.comparison.first.figures[self.comparison.main].items()
        }

    def metrics(self) -> dict[str, float]:
        """The accuracy of every recommender on every part, by name for MLflow."""
        return {
            f"ranking/{part}/{recommender}/{figure}": figures[figure].mean
            for part, found in self.comparison.parts.items()
            for recommender, figures in found.figures.items()
            for figure in figure_names()
        }

    def markdown(self) -> str:
        """The verdict and the judged part, for the description of a model."""
        judged, part = self.comparison.judged, self.comparison.first
        rows = [
            f"|{name}|" + "".join(f"{figures[figure].mean:.4f}|" for figure in judged)
            for name, figures in part.figures.items()
        ]
        head = ["| |" + "".join(f"{figure}|" for figure in judged), "|---|" + "---|" * len(judged)]
        return "\n\n".join([*self.comparison.verdict.lines(), self.comparison.why, "\n".join([*head, *rows])])


def judge_user_towers(
    data: UserData,
    groups: list[ItemGroups],
    config: UserRetrievalConfig,
    folder: Path,
    progress: Progress | None = None,
) -> Judged:
    """Compare the towers in `folder`/two_tower with tuned baselines; write `folder`/rankings.

    Baselines choose their settings on the validation that the towers chose theirs on, and are fitted again
    to training and validation, as the towers are. The test is read here only.

    Raises:
        RecommenderError: a baseline that the configuration names cannot be fitted, or none can.
        EvaluationError: the test asks for nothing.
    """
    parts = split(data.events, config.split, config.seed)
    names, left_out = choose_baselines(config, len(data.content))
    towers = Towers.load(folder / FITTED)
    judged: list[Callable[[], Recommender]] = [
        lambda: TowersRecommender.of(towers, parts.fit, data.content, data.user_features),
        *(_tuned(name, parts, data.content, config) for name in names),
    ]
    candidates = candidate_sets(parts)
    qualities: dict[str, list[RankingQuality]] = {name: [] for name in candidates}
    for done, recommender in enumerate(judged, 1):
        found = evaluate_parts(recommender(), parts.fit, parts.test, candidates, config.seed)
        for name, quality in found.items():
            qualities[name].append(quality)
        if progress is not None:
            progress(done, len(judged))
    comparison = RankingComparison.of(
        parts.kind,
        parts.why,
        qualities,
        main="two-tower",
        judged=config.evaluate.judged,
        groups=groups,
        replicates=config.evaluate.draws,
    )
    write_rankings(folder / RANKINGS, comparison)
    return Judged(comparison, left_out)


def choose_baselines(config: UserRetrievalConfig, items: int) -> tuple[list[str], tuple[str, ...]]:
    """Names of the baselines to beat, and why those that cannot be fitted are left out.

    Raises:
        RecommenderError: one that the configuration names cannot be fitted to so many items here.
    """
    names: list[str] = []
    left_out: list[str] = []
    for name in config.baselines or BASELINES[config.split.kind]:
        reason = unavailable(name, items)
        if reason is None:
            names.append(name)
        elif config.baselines is not None:
            raise RecommenderError(f"baselines: {name} cannot be fitted: {reason}; name others")
        else:
            left_out.append(f"baseline {name} left out: {reason}")
    return names, tuple(left_out)


def candidate_sets(parts: Split) -> dict[str, NDArray[np.bool_] | None]:
    """Sets of candidates by name, the judged one first, and only those that the test reaches.

    Where items are held out the judged set are these; otherwise it is every item.
    """
    cold = parts.fit.item_counts() == 0 if parts.cold is None else parts.cold
    asked = parts.test.matrix() - parts.test.matrix().multiply(parts.fit.matrix())
    asked.eliminate_zeros()
    wanted = np.zeros(len(cold), bool)
    wanted[asked.indices] = True
    sets = {
        name: mask
        for name, mask in cold_parts(cold).items()
        if mask is None or ((mask & wanted).any() and not mask.all())
    }
    order = ("cold", "overall", "warm") if parts.cold is not None else ("overall", "warm", "cold")
    return {name: sets[name] for name in order if name in sets}


def item_groups(bundle: Bundle) -> list[ItemGroups]:
    """Groups of the bundle's items by each category and label column with few values."""
    schema, items = bundle.manifest.features, bundle.searcher.items
    found = []
    for name in (*schema.categorical, *schema.multi_label_names):
        column = items.column(name)
        values = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        if pc.count_distinct(values).as_py() <= MAX_GROUPS:
            found.append(ItemGroups.of(name, column))
    return found


def write_user_towers(
    data: UserData,
    bundle: Bundle,
    config: UserRetrievalConfig,
    folder: Path,
    progress: Progress | None = None,
) -> TowerFacts:
    """Vectors of all items, and of all users from all their events, into `folder`/towers.

    The model is the one that was judged; the test's events only join the histories it reads.

    Raises:
        BundleError: a vector is not finite.
    """
    return write_towers(
        folder / TOWERS,
        Towers.load(folder / FITTED),
        data.content,
        data.events,
        bundle.manifest.encoder_fingerprint,
        config.publish,
        config.seed,
        item_column=bundle.manifest.features.item_id,
        user_features=data.user_features,
        user_codec=data.user_codec,
        progress=progress,
    )


def _tuned(
    name: str, parts: Split, content: ItemContent, config: UserRetrievalConfig
) -> Callable[[], Recommender]:
    def fit() -> Recommender:
        figure = config.evaluate.judged[0]
        chosen = tune([name], parts, content, figure, config.seed)[name]
        return fit_baselines({name: chosen.settings}, parts.fit, content, config.seed)[0]

    return fit
