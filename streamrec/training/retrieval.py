"""`SampledSoftmax`: the loss of a `TwoTower`, on events whose candidates are drawn batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from streamrec.models.softmax import log_inclusion, sampled_softmax
from streamrec.models.two_tower import TwoTower

HIDDEN_IDS = 0.1
"""Share of a history's items that are shown by their content, as new items are."""
VALIDATION_SCORES = 1 << 22
"""Scores held at once in a validation."""


@dataclass(frozen=True)
class EventBatch:
    """Events to learn from."""

    users: Tensor
    """(n,) int64 positions of users."""
    items: Tensor
    """(n,) int64 positions of items."""
    periods: Tensor
    """(n,) int64 rows of `EventWorld.log_popularity`: when it was."""

    def __len__(self) -> int:
        return len(self.users)

    def to(self, device: torch.device | str) -> EventBatch:
        """The same events on `device`."""
        return EventBatch(self.users.to(device), self.items.to(device), self.periods.to(device))


@dataclass(frozen=True)
class EventWorld:
    """What events refer to: I items and U users."""

    content: Tensor
    """(I, F) float32."""
    ids: Tensor
    """(I,) int64 id of each item's embedding, 0 where it has none."""
    features: Tensor
    """(U, G) float32 features of the users."""
    starts: Tensor
    """(U + 1,) int64: where the items of each user begin in `items`."""
    items: Tensor
    """Items of all users, each user's in any order but none twice."""
    log_share: Tensor
    """(I,) log of the items' shares of the events; -inf for none."""
    log_popularity: Tensor
    """(P, I) log popularity of the items when the events happened, a row per period, 0 in the mean."""
    asked: Tensor
    """(A,) int64 items that validation events are to be told apart from, their own among them; rising."""

    def to(self, device: torch.device | str) -> EventWorld:
        """The same on `device`."""
        return replace(self, **{field.name: getattr(self, field.name).to(device) for field in fields(self)})


class SampledSoftmax:
    """Cross entropy of an event's item against the items of the batch and others drawn uniformly.

    What the towers learn is what a user takes beyond what is popular: an item's log popularity at the time of
    the event is added to its score, as a term that is not learned, whether the item is shown by its id or by
    its content alone. So the path of new items has no popularity to explain. Other items of the user are
    neither shown as negatives (accidental hits) nor, where they are the target, in the history.

    Args:
        model: the towers.
        world: items, users and their histories.
    """

    def __init__(self, model: TwoTower, world: EventWorld) -> None:
        self.module = self._model = model
        self._world = world

    def prepare(self, items: EventBatch) -> tuple[Tensor, ...]:
        """Users, items and periods."""
        self._world = self._world.to(items.users.device)
        return items.users, items.items, items.periods

    def loss(self, tensors: tuple[Tensor, ...], share: float, generator: torch.Generator) -> Tensor:
        """Mean loss of a batch."""
        users, items, periods = tensors
        config, world, device = self._model.config, self._world, users.device
        count = len(world.content)

        def chance(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        uniform = torch.randint(count, (config.negatives,), generator=generator, device=device)
        candidates, columns = torch.unique(torch.cat([items, uniform]), return_inverse=True)
        ids = world.ids[candidates] * (chance(len(candidates)) >= config.id_dropout)
        other, shown = self._others(users, items, generator)
        kept = (0.1 + 0.8 * chance(len(users), 1)) * (chance(len(users), 1) >= config.empty_histories)
        seen = other & (chance(*other.shape) < kept)
        named = chance(*other.shape) >= HIDDEN_IDS
        known = chance(len(users), 1) >= config.feature_dropout
        vectors = self._model.item(ids, world.content[candidates])
        scores, hits = self._scores(users, periods, candidates, vectors, shown, seen, other, named, known)
        log_q = log_inclusion(world.log_share[candidates], len(items), config.negatives, count)
        return sampled_softmax(scores, columns[: len(items)], log_q, hits).mean()

    def validate(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> dict[str, Tensor]:
        """`loss`: the mean over the events of the cross entropy among all items asked for, nothing hidden."""
        asked = self._world.asked
        ids = self._world.ids[asked]
        vectors = self._model.item(ids, self._world.content[asked])
        certain = torch.zeros(len(asked), device=asked.device)
        rows = max(1, VALIDATION_SCORES // len(asked))
        losses = []
        for users, items, periods in zip(*(tensor.split(rows) for tensor in tensors), strict=True):
            other, shown = self._others(users, items, generator)
            target = torch.searchsorted(asked, items)
            scores, hits = self._scores(users, periods, asked, vectors, shown, other, other)
            losses.append(sampled_softmax(scores, target, certain, hits))
        return {"loss": torch.cat(losses).mean()}

    def settings(self, share: float) -> dict[str, float]:
        """None."""
        return {}

    def _scores(
        self,
        users: Tensor,
        periods: Tensor,
        candidates: Tensor,
        vectors: Tensor,
        shown: Tensor,
        seen: Tensor,
        other: Tensor,
        named: Tensor | bool = True,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores (n, c) of users with candidates, and which of these are the user's other items.

        Args:
            users, periods: (n,) of the events.
            candidates: (c,) items, rising.
            vectors: (c, d) of them.
            shown, seen, other: (n, L) items of the users, which are in the history, which are no negatives.
            named: (n, L) which of those items are shown with their ids; True: all that have one.
            known: (n, 1) whose features are shown; None: everybody's.
        """
        world = self._world
        popularity = _cells(world.log_popularity, periods, candidates)
        shown_ids = world.ids[shown]
        by_id = named & (shown_ids > 0)
        history = _bag(shown_ids, self._model.history_ids.weight, (seen & by_id).to(world.content.dtype))
        unnamed = _bag(shown, world.content, (seen & ~by_id).to(world.content.dtype))
        history = history + self._model.history_content(unnamed)
        features = world.features[users] if known is None else world.features[users] * known
        user = self._model.user(history, seen.sum(1), features)
        scores = self._model.sharpness * user @ vectors.T + popularity
        place = torch.full((len(world.content) + 1,), len(candidates), device=users.device)
        place[candidates] = torch.arange(len(candidates), device=users.device)
        hits = torch.zeros(len(users), len(candidates) + 1, dtype=torch.bool, device=users.device)
        hits.scatter_(1, place[torch.where(other, shown, len(world.content))], True)
        return scores, hits[:, :-1]

    def _others(self, users: Tensor, items: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which (n, L) of the users' items are others than the event's, and those items."""
        shown, there = self._window(users, generator)
        return there & (shown != items.unsqueeze(1)), shown

    def _window(self, users: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Items (n, L) of the users and which of them are there: all of a user's, or L in a row."""
        world, length = self._world, self._model.config.history
        first, counts = world.starts[users], world.starts[users + 1] - world.starts[users]
        offset = torch.rand(len(users), generator=generator, device=users.device) * counts
        steps = torch.arange(min(length, max(int(counts.max()), 1)), device=users.device)
        place = (offset.long().unsqueeze(1) + steps) % counts.clamp(min=1).unsqueeze(1)
        there = steps < counts.unsqueeze(1)
        return world.items[torch.where(there, first.unsqueeze(1) + place, 0)], there


def _bag(rows: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums (n, w) of rows (n, L) of a table (I, w)."""
    return torch.nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weight)


def _cells(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(n, c) of a table (P, I): first along the side that leaves less to copy."""
    if len(rows) < len(table):
        return table.index_select(0, rows).index_select(1, columns)
    return table.index_select(1, columns).index_select(0, rows)
