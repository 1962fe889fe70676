"""`split`: events for training, for tuning and for the test, by time, by user or by item."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import SplitError
from streamrec.interactions.settings import SplitConfig
from streamrec.interactions.table import Interactions, Positions


@dataclass(frozen=True)
class Split:
    """Three parts of the same events, none in two of them; users and items keep their positions."""

    kind: str
    """`time`, `user` or `item`."""
    train: Interactions
    """What is learned from while settings are chosen; every statistic comes from here (or from `fit`)."""
    validation: Interactions
    """What settings are chosen by."""
    test: Interactions
    """What is reported, once."""
    why: str
    """How the events were split and what that measures, for every report."""
    cold: NDArray[np.bool_] | None = None
    """(I,) items of the test, in no event of `fit`; None where items are not held out."""
    cold_validation: NDArray[np.bool_] | None = None
    """(I,) items of the validation, in no event of `train`; None where items are not held out."""

    @property
    def fit(self) -> Interactions:
        """Training and validation events in time order, for the refit after settings are chosen."""
        parts = (self.train, self.validation)
        users, items, times, weights = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("users", "items", "times", "weights")
        )
        both = Interactions(users, items, times, weights, self.train.user_ids, self.train.item_ids)
        return both.select(_by_time(both))


def split(events: Interactions, config: SplitConfig, seed: int) -> Split:
    """Split as configured; `seed` draws what is held out by user or by item.

    Raises:
        SplitError: a part would have no events, or times are needed and unknown.
    """
    if config.kind == "time":
        return split_by_time(events, config.test, config.validation)
    by = split_by_user if config.kind == "user" else split_by_item
    return by(events, config.test, config.validation, seed)


def split_by_time(events: Interactions, test: float, validation: float) -> Split:
    """The last share `test` of all events is the test, the share `validation` before it the validation.

    Events of one time are ordered by user, then item, then as given, so one order decides; no event of
    a part is earlier than one of the part before.

    Raises:
        SplitError: a part would have no events, or all events have one time.
    """
    if len(events) and events.times.min() == events.times.max():
        raise SplitError(
            "split.kind time: all events have the same time; name the column with their time "
            "(interactions.timestamp) or split by user or item"
        )
    order = _by_time(events)
    tested = len(events) - int(_share(test, len(events)))
    tuned = tested - int(_share(validation, len(events)))
    train, tune, ask = np.split(order, [tuned, tested])
    parts = (events.select(train), events.select(tune), events.select(ask))
    _check("time", parts)
    why = (
        f"Global time split: the last {test:.0%} of the events (from {_day(parts[2])}) are the test, the "
        f"{validation:.0%} before them (from {_day(parts[1])}) the validation; events of one time are "
        "ordered by user, then item. It measures what a service meets: nothing is learned from the future "
        "of a question."
    )
    return Split("time", *parts, why)


def split_by_user(events: Interactions, test: float, validation: float, seed: int) -> Split:
    """Of each user's n distinct items, n `test` and n `validation` at random, rounded down, are held out.

    Each is at least one where that leaves the user an item to learn from, the test first. A user's
    repeated events with one item stay together.

    Raises:
        SplitError: a part would have no events.
    """
    wide = np.int64(len(events.item_ids))
    pairs, pair_of = np.unique(events.users * wide + events.items, return_inverse=True)
    users = pairs // wide
    order = np.lexsort((np.random.default_rng([seed, _BY_USER]).random(len(pairs)), users))
    counts = np.bincount(users, minlength=len(events.user_ids))
    starts = np.cumsum(counts) - counts
    place = np.empty(len(pairs), np.int64)
    place[order] = np.arange(len(pairs)) - starts[users[order]]
    tested = np.minimum(np.maximum(_share(test, counts), 1), np.maximum(counts - 1, 0))
    tuned = np.minimum(np.maximum(_share(validation, counts), 1), np.maximum(counts - tested - 1, 0))
    part = np.where(place < tested[users], 2, np.where(place < (tested + tuned)[users], 1, 0))[pair_of]
    parts = _parts(events, part)
    _check("user", parts)
    why = (
        f"Random split per user: {test:.0%} of each user's items are the test and {validation:.0%} the "
        f"validation (seed {seed}), at least one of each where one is left to learn from. It compares with "
        "published figures; it is easier than the future, whose popular items it gives away."
    )
    return Split("user", *parts, why)


def split_by_item(events: Interactions, test: float, validation: float, seed: int) -> Split:
    """All events of a random share `test` of the items with events, and of `validation` others.

    Raises:
        SplitError: a part would have no events.
    """
    known = np.unique(events.items)
    drawn = np.random.default_rng([seed, _BY_ITEM]).permutation(known)
    tested, tuned = (int(_share(share, len(known))) for share in (test, validation))
    cold, cold_validation = np.zeros((2, len(events.item_ids)), bool)
    cold[drawn[:tested]] = True
    cold_validation[drawn[tested : tested + tuned]] = True
    parts = _parts(events, np.where(cold, 2, np.where(cold_validation, 1, 0))[events.items])
    _check("item", parts)
    why = (
        f"Item-cold split: all events of {tested:,} random items ({test:.0%} of those with events, seed "
        f"{seed}) are the test, those of {tuned:,} others ({validation:.0%}) the validation. It measures "
        "new items: nobody's events with them are known, only their content."
    )
    return Split("item", *parts, why, cold, cold_validation)


_Parts = tuple[Interactions, Interactions, Interactions]
_BY_USER, _BY_ITEM = 1, 2
"""One seed draws different numbers for each kind of split."""


def _by_time(events: Interactions) -> Positions:
    return np.lexsort((events.items, events.users, events.times))


def _share(share: float, counts: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """`counts` times `share`, rounded down; what is whole but for rounding errors counts as whole."""
    return np.floor(np.asarray(counts) * share + 1e-9).astype(np.int64)


def _parts(events: Interactions, part: NDArray[Any]) -> _Parts:
    return events.select(part == 0), events.select(part == 1), events.select(part == 2)


def _check(kind: str, parts: _Parts) -> None:
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            total = sum(len(other) for other in parts)
            raise SplitError(
                f"split.kind {kind}: no events are left for the {name} of {total:,} in all; expected at "
                "least one, change split.test or split.validation or give more events"
            )


def _day(events: Interactions) -> str:
    if not len(events):
        return "nothing"
    return f"{datetime.fromtimestamp(events.times[0] / 1e6, UTC):%Y-%m-%d}"
