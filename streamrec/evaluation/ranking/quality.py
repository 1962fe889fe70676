"""`RankingQuality`: the first ranks of each user with test items, and every figure that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.ranking.beyond import coverage, gini, novelty, popularity
from streamrec.evaluation.ranking.metrics import CUTOFFS, METRICS
from streamrec.evaluation.ranking.protocol import Positions

Values = NDArray[np.float64]

BEYOND = ("coverage", "novelty", "popularity", "gini")
"""Figures of the lists as a whole, not of relevance."""


@dataclass(frozen=True)
class RankingQuality:
    """Rankings of one recommender for m users who have relevant items in the test."""

    recommender: str
    seed: int
    users: Positions
    """(m,) positions of the users judged, rising."""
    top: NDArray[np.int32]
    """(m, K) positions of the recommended items, best first; -1 where fewer can be ranked."""
    hits: NDArray[np.bool_]
    """(m, K) which of them are relevant."""
    starts: Positions
    """(m + 1,) where each user's items begin in `relevant_items`."""
    relevant_items: NDArray[np.int32]
    """(r,) relevant items, rising within a user."""
    candidates: NDArray[np.bool_]
    """(I,) items that could be recommended."""
    seen_users: Positions
    """(I,) users who had seen each item."""
    all_users: int
    """Users that `seen_users` counts, with and without history."""
    activity: Positions
    """(m,) items each judged user had seen."""

    def __len__(self) -> int:
        return len(self.users)

    @property
    def relevant(self) -> Positions:
        """(m,) relevant items of each user, one or more."""
        return np.diff(self.starts)

    def values(self, figure: str) -> Values:
        """(m,) a metric by user; `figure` as in `ndcg@10`, of `METRICS` and a rank up to K."""
        metric, _, k = figure.partition("@")
        return METRICS[metric](self.hits, self.relevant, int(k))

    def per_user(self) -> dict[str, Values]:
        """(m,) values of every metric at every cut-off."""
        return {name: self.values(name) for name in figure_names()}

    def mean(self, figure: str) -> float:
        """A metric's mean over users, or a figure of `BEYOND`."""
        name, _, k = figure.partition("@")
        if name not in BEYOND:
            return float(self.values(figure).mean())
        shown = self.top[:, : int(k)]
        if name == "coverage":
            return coverage(shown, self.candidates)
        if name == "gini":
            return gini(shown, self.candidates)
        if name == "novelty":
            return novelty(shown, self.seen_users, self.all_users)
        return popularity(shown, self.seen_users)

    def means(self) -> dict[str, float]:
        """Every metric's mean over users and every figure of `BEYOND`, at each cut-off."""
        return {name: self.mean(name) for name in (*figure_names(), *beyond_names())}


def figure_names() -> tuple[str, ...]:
    """`recall@10` to `hit@50`."""
    return tuple(f"{metric}@{k}" for metric in METRICS for k in CUTOFFS)


def beyond_names() -> tuple[str, ...]:
    """`coverage@10` to `gini@50`."""
    return tuple(f"{name}@{k}" for name in BEYOND for k in CUTOFFS)
