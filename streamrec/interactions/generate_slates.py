"""What a synthetic platform shows its visitors, and what they click: the examination model.

A visit at time t (seconds), given the users who joined and the items that were published by then:

    user          u with probability ∝ activity_u
    slate         S = 10 items drawn independently: 5 from the popular shelf, with probability ∝ exp(q_i),
                  5 from the new shelf, ∝ exp(q_i - age of i / 30 days); shown by falling popularity q_i
    examined      position k = 1, ..., S with probability 1 / k
    clicked       an examined item with probability relevance(u, i, t) (`generate_truth`)

all independently of each other (position-based model: Richardson et al., "Predicting clicks", WWW 2007;
Craswell et al., "An experimental comparison of click position-bias models", WSDM 2008). What is popular
is drawn more often, shown higher and clicked more often for three different reasons; only the last one is
relevance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.interactions.generate_truth import TrueRelevance
from streamrec.interactions.generate_users import SyntheticUsers
from streamrec.interactions.table import Positions

SLATE = 10
NEW_SHELF_SECONDS = 30 * 86_400
EXAMINATION = 1 / np.arange(1, SLATE + 1)
"""(S,): probability that a position is looked at."""


class Arrivals:
    """Things that come into being one after the other, drawn in proportion to their weights."""

    def __init__(self, since: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        """Times (n,) from which on each can be drawn, and positive weights (n,)."""
        self._order = np.argsort(since, kind="stable")
        self._since = since[self._order]
        self._edges = np.concatenate([[0.0], np.cumsum(weights[self._order])])

    def draw(self, times: NDArray[np.int64], uniforms: NDArray[np.float64]) -> Positions:
        """(n, m) positions of things that are there at times (n,), from uniforms (n, m) in [0, 1).

        -1 where nothing is there yet.
        """
        there = np.searchsorted(self._since, times, side="right")
        drawn = np.searchsorted(self._edges, uniforms * self._edges[there, None], side="right") - 1
        positions: Positions = self._order[drawn]
        positions[there == 0] = -1
        return positions


@dataclass(frozen=True)
class Shown:
    """Visits (n,) with the positions (n, S) of what they were shown."""

    users: Positions
    """(n,) -1 where nobody had joined."""
    times: NDArray[np.int64]
    """(n,) seconds since 1970."""
    items: Positions
    """(n, S) -1 where nothing was shown."""
    examined: NDArray[np.bool_]
    """(n, S)"""
    clicked: NDArray[np.bool_]
    """(n, S)"""


class Platform:
    """Draws visits of users to items."""

    def __init__(self, truth: TrueRelevance, users: SyntheticUsers, published: NDArray[np.int64]) -> None:
        """The truth, the users, and when (I,) the items were published, seconds since 1970."""
        self.truth = truth
        self._users = Arrivals(users.joined, users.activity)
        popularity = truth.popularity.astype(np.float64)
        self._popular = Arrivals(published, np.exp(popularity))
        # The last rank is that of -1, no item.
        self._by_rank = np.append(np.argsort(-popularity, kind="stable"), -1)
        self._rank = np.empty(len(self._by_rank), np.int32)
        self._rank[self._by_rank] = np.arange(len(self._by_rank), dtype=np.int32)
        # A common factor exp(-t / 30 days) drops out among what is there at t.
        freshness = (published - published.max()) / NEW_SHELF_SECONDS
        self._new = Arrivals(published, np.exp(popularity + freshness))

    def visits(self, times: NDArray[np.int64], rng: np.random.Generator) -> Shown:
        """One visit at each of the times (n,), seconds since 1970."""
        users = self._users.draw(times, rng.random((len(times), 1)))[:, 0]
        half = (len(times), SLATE // 2)
        shelves = [shelf.draw(times, rng.random(half)) for shelf in (self._popular, self._new)]
        items = self._by_rank[np.sort(self._rank[np.concatenate(shelves, axis=1)], axis=1)]
        examined = rng.random(items.shape) < EXAMINATION
        examined &= (items >= 0) & (users >= 0)[:, None]
        row, column = np.nonzero(examined)
        looked_at = items[row, column]
        fit = self.truth.fit(self.truth.taste(users, times * 1_000_000)[row], looked_at)
        clicked = np.zeros(items.shape, bool)
        clicked[row, column] = rng.random(len(row)) < self.truth.sigmoid(fit, looked_at)
        return Shown(users, times, items, examined, clicked)
