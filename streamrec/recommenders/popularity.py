"""`Popularity`: how popular items were while events happened, and how popular they are now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamrec.interactions.table import Interactions, Positions
from streamrec.recommenders.popular import MICROSECONDS_PER_DAY

PRIOR_EVENTS = 50.0
"""Events that the popularity of all time counts for beside the recent ones."""
PRIOR_COUNT = 0.3
"""Events that every item has beside its own: nothing is impossible."""
PERIODS_PER_HALF_LIFE, MOST_PERIODS = 4, 128

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Popularity:
    """Logs of shares of events, times the number of items: 0 is an item of average popularity."""

    periods: Positions
    """(n,) period of each event."""
    table: Floats
    """(P, I) log popularity in each period, of the events up to its middle."""
    now: Floats
    """(I,) log popularity after the last event."""

    @classmethod
    def of(cls, events: Interactions, half_life_days: float | None) -> Popularity:
        """Of events by rising time, an event counting 2^(-age / half-life); None: all events count alike.

        Without times, or without a half-life, there is one period.
        """
        items, n = len(events.item_ids), len(events)
        overall = events.item_counts() + PRIOR_COUNT
        overall = overall / overall.sum()
        span = float(events.times[-1] - events.times[0]) / MICROSECONDS_PER_DAY if n else 0.0
        if half_life_days is None or span == 0:
            log = np.log(overall * items).astype(np.float32)
            return cls(np.zeros(n, np.int64), log[None], log)
        count = min(max(1, math.ceil(span / half_life_days * PERIODS_PER_HALF_LIFE)), MOST_PERIODS)
        passed = (events.times - events.times[0]) / (span * MICROSECONDS_PER_DAY)
        periods = np.minimum((passed * count).astype(np.int64), count - 1)
        kept = 2.0 ** (-span / count / half_life_days)
        recent, table = np.zeros(items), np.empty((count, items), np.float32)
        starts = np.searchsorted(periods, np.arange(count + 1))
        for period, (start, stop) in enumerate(pairwise(starts)):
            counts = np.bincount(events.items[start:stop], minlength=items)
            table[period] = _log(recent * kept**0.5 + counts / 2, overall)
            recent = recent * kept + counts * kept**0.5
        return cls(periods, table, _log(recent, overall))


def _log(recent: NDArray[np.float64], overall: NDArray[np.float64]) -> Floats:
    mixed = (recent + PRIOR_EVENTS * overall) / (recent.sum() + PRIOR_EVENTS)
    return np.log(mixed * len(mixed)).astype(np.float32)
