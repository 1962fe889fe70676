"""What is recommended, whether relevant or not: coverage, novelty, popularity, concentration.

`shown` (m, k) holds positions of recommended items, -1 where a list is shorter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Shown = NDArray[np.integer]
Counts = NDArray[np.int64]


def coverage(shown: Shown, candidates: NDArray[np.bool_]) -> float:
    """Share of the items that could be recommended that some list holds.

    Source: Ge, Delgado-Battenfeld, Jannach, Beyond accuracy (2010), catalogue coverage.
    """
    return len(np.unique(shown[shown >= 0])) / int(candidates.sum())


def novelty(shown: Shown, seen_users: Counts, users: int) -> float:
    """Mean self-information of the recommended items, in bits: -log2((n + 1) / (U + 1)) of an item seen by n
    of U users; the added one keeps items that nobody has seen finite, at log2(U + 1).

    Source: Zhou et al., Solving the apparent diversity-accuracy dilemma (2010), smoothed.
    """
    return float(np.log2((users + 1) / (seen_users[shown[shown >= 0]] + 1)).mean())


def popularity(shown: Shown, seen_users: Counts) -> float:
    """Mean over lists of the mean number of users who had seen their items (ARP).

    Source: Yin et al., Challenging the long tail recommendation (2012).
    """
    there = shown >= 0
    counts = np.where(there, seen_users[shown], 0)
    lengths = there.sum(1)
    return float((counts.sum(1) / np.maximum(lengths, 1))[lengths > 0].mean())


def gini(shown: Shown, candidates: NDArray[np.bool_]) -> float:
    """Gini index of how often each item that could be recommended is: 0 all alike, (n - 1) / n one only.

    Source: Fleder, Hosanagar, Blockbuster culture's next rise or fall (2009); the estimator is the sorted
    sum, sum of (2 i - n - 1) c_i over n sum of c_i, for counts c_1 <= ... <= c_n.
    """
    counts = np.sort(np.bincount(shown[shown >= 0], minlength=len(candidates))[candidates])
    n = len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * counts.sum()))
