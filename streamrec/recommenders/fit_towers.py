"""`fit_towers`: towers trained, all else chosen on validation events, and fitted again on both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from streamrec.evaluation.ranking.protocol import Positions
from streamrec.interactions.content import ItemContent
from streamrec.interactions.splits import Split
from streamrec.interactions.table import Histories, Interactions
from streamrec.models.two_tower import TwoTower
from streamrec.recommenders.content_map import ContentMap
from streamrec.recommenders.forms import known_items
from streamrec.recommenders.judge import Judge
from streamrec.recommenders.linear import LinearFactors
from streamrec.recommenders.popularity import Popularity
from streamrec.recommenders.settings import TowersConfig
from streamrec.recommenders.towers import Scaling, Towers
from streamrec.training.loop import Epoch, History, fit
from streamrec.training.retrieval import EventBatch, EventWorld, SampledSoftmax

FOLLOWED = 10_000
"""Validation events that the loss is followed on, at most: each is scored with every item."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TowersRecommender:
    """Towers as a `Recommender` of known users."""

    name: str
    items: Floats
    """(I, k)."""
    users: Floats
    """(U, k)."""

    @classmethod
    def of(
        cls, towers: Towers, events: Interactions, content: ItemContent, user_features: Floats | None
    ) -> TowersRecommender:
        """Vectors of every item, and of every user by the events given."""
        ids = events.item_ids.to_pylist()
        histories = distinct(events.histories())
        return cls(
            "two-tower",
            towers.item_vectors(content.latents, content.features, ids),
            towers.user_vectors(histories, content.latents, content.features, ids, user_features),
        )

    def scores(self, users: Positions) -> Floats:
        """(u, I) inner products."""
        return self.users[users] @ self.items.T


@dataclass(frozen=True)
class FittedTowers:
    """What `fit_towers` found."""

    towers: Towers
    """Fitted on training and validation events together."""
    history: History
    """Of the training that was validated."""
    half_life_days: float | None
    penalty: float | None
    """Of the linear part, where there is one."""
    validation: float
    """`Judge.score` of the chosen mixture."""


def distinct(histories: Histories) -> list[Positions]:
    """Items of each user, none twice, the oldest first."""
    found = []
    for user in range(len(histories)):
        items = histories.of(user)
        if len(items) > 1:
            items = items[np.sort(np.unique(items, return_index=True)[1])]
        found.append(items)
    return found


def fit_towers(
    split: Split,
    content: ItemContent,
    user_features: Floats | None,
    config: TowersConfig,
    seed: int,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
) -> FittedTowers:
    """Train towers on `split.train`, choose everything else on `split.validation`, and fit again on both.

    The half-life of popularity (in a split by time) and the penalty of the linear part are chosen by
    themselves, the mixture of the parts then one value at a time.

    Raises:
        RecommenderError: no training events.
        TrainingError: a loss was not finite.
    """
    judge, ids = Judge.of(split, seed), split.train.item_ids.to_pylist()
    half_life = judge.half_life(split.train, config.half_lives_days) if split.kind == "time" else None
    penalty, linear = None, None
    if len(split.train.item_ids) <= config.linear_items:
        _, scaled = scaled_content(split.train, content)
        penalty, factors = judge.linear(
            split.train, scaled, config.linear_penalties, config.linear_rank, seed
        )
        linear = factors.take(known_items(split.train))
    towers, history = train_towers(
        split.train,
        split.validation,
        content,
        user_features,
        config,
        half_life,
        seed,
        callbacks,
        split.cold_validation,
    )
    towers = replace(towers, linear=linear)
    mixture, score = judge.mixture(towers, content, ids, user_features)
    final, _ = train_towers(split.fit, None, content, user_features, config, half_life, seed)
    if penalty is not None:
        _, scaled = scaled_content(split.fit, content)
        factors = LinearFactors.of(split.fit, scaled, penalty, config.linear_rank, seed)
        linear = factors.take(known_items(split.fit))
    towers = replace(final.mixed(mixture), linear=linear)
    return FittedTowers(towers, history, half_life, penalty, score)


def scaled_content(events: Interactions, content: ItemContent) -> tuple[Scaling, Floats]:
    """Scaling of the content of the items with events, and the scaled content (I, F) of all."""
    known = known_items(events)
    scaling = Scaling.of(content.latents[known], content.features[known])
    return scaling, scaling(content.latents, content.features)


def train_towers(
    events: Interactions,
    validation: Interactions | None,
    content: ItemContent,
    user_features: Floats | None,
    config: TowersConfig,
    half_life_days: float | None,
    seed: int,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    candidates: NDArray[np.bool_] | None = None,
) -> tuple[Towers, History]:
    """Towers fitted on events, without a linear part; the mixture is 1, 0, 1.

    Args:
        events: to learn from.
        validation: events that the loss is followed on, at most `FOLLOWED` of them, evenly spaced; None:
            nobody asks for it, and a few of those learned from will do.
        content, user_features, config, seed, callbacks: as for `fit_towers`.
        half_life_days: of popularity; None: all events count alike.
        candidates: (I,) items that validation events are told apart from; None: all.
    """
    known = known_items(events)
    scaling, scaled = scaled_content(events, content)
    popularity = Popularity.of(events, half_life_days)
    expected = ContentMap.of(scaled[known], popularity.now[known, None])
    ids = np.zeros(len(scaled), np.int64)
    ids[known] = np.arange(1, len(known) + 1)
    histories = distinct(events.histories())
    counts = np.array([len(history) for history in histories])
    rng = np.random.default_rng([seed, 11])
    features = np.zeros((len(histories), 0), np.float32) if user_features is None else user_features
    with np.errstate(divide="ignore"):
        log_share = np.log(events.item_counts() / len(events)).astype(np.float32)
    world = EventWorld(
        *map(
            torch.from_numpy,
            (
                scaled,
                ids,
                features.astype(np.float32),
                np.concatenate([[0], np.cumsum(counts)]),
                np.concatenate([rng.permutation(history) for history in histories]),
                log_share,
                popularity.table,
                np.arange(len(scaled)) if candidates is None else np.flatnonzero(candidates),
            ),
        )
    )
    torch.manual_seed(seed)
    model = TwoTower(len(known), scaled.shape[1], features.shape[1], config.network)
    last = len(popularity.table) - 1
    train = _batch(events, popularity.periods)
    followed = _spaced(events, 100) if validation is None else _spaced(validation, FOLLOWED)
    held_out = _batch(followed, np.full(len(followed), last))
    settings = replace(config.train, patience=None, tolerance=np.inf)
    history = fit(SampledSoftmax(model, world), train, held_out, settings, seed, callbacks)
    names = events.item_ids.to_pylist()
    vocabulary = tuple(names[position] for position in known)
    return Towers(model.eval(), vocabulary, scaling, popularity.now[known], expected, None), history


def _spaced(events: Interactions, most: int) -> Interactions:
    return events.select(np.arange(0, len(events), -(-len(events) // most)))


def _batch(events: Interactions, periods: Positions) -> EventBatch:
    return EventBatch(*map(torch.from_numpy, (events.users, events.items, periods)))
