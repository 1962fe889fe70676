"""The most consumed items, of all time or lately: what every personal recommender has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamrec.interactions.table import Interactions, Positions
from streamrec.recommenders.forms import Floats, RecommenderError

MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Popular:
    """One order of the items for everybody."""

    name: str
    weights: Floats
    """(I,)."""

    def scores(self, users: Positions) -> Floats:
        """(u, I) float32, the same row for every user."""
        return np.tile(self.weights, (len(users), 1))


def popular(events: Interactions) -> Popular:
    """Items by their number of events."""
    return Popular("popular", events.item_counts().astype(np.float32))


def recent_popular(events: Interactions, half_life_days: float) -> Popular:
    """Items by their number of events, an event counting 2^(-age / half-life).

    Ages are taken at the last event. Without times every age is 0, which is `popular`.

    Raises:
        RecommenderError: the half-life is not positive.
    """
    if not half_life_days > 0:
        raise RecommenderError(
            f"recent-popular: half_life_days is {half_life_days}, expected more than 0; raise it"
        )
    ages = (events.times.max(initial=0) - events.times) / MICROSECONDS_PER_DAY
    weights = np.bincount(events.items, np.exp2(-ages / half_life_days), len(events.item_ids))
    return Popular("recent-popular", weights.astype(np.float32))
