"""Bootstrap over users: the same are drawn for every recommender, metric and seed, so that pairs stay pairs.

What it answers: had other users of this kind been tested, how else could the figures have come out. Users who
occur under several seeds are drawn with all their rows. Source: Efron, Tibshirani, An Introduction to the
Bootstrap (1993), percentile intervals; Sakai, Evaluating evaluation metrics based on the bootstrap (2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

REPLICATES = 2_000
CONFIDENCE = 0.95
_BLOCK_CELLS = 1 << 23


def replicate_means(
    users: Sequence[NDArray[np.int64]], values: Sequence[Values], seed: int, replicates: int = REPLICATES
) -> Values:
    """(replicates, c) means over drawn users; over several samples, the mean of the samples' means.

    Args:
        users: for each sample (a seed's split) positions (m_s,) of its users, each once.
        values: for each sample (m_s, c) values, in the order of its users; columns are the same in all.
        seed: of the draws.
        replicates: how often users are drawn, as many as there are, with replacement.
    """
    known, places = np.unique(np.concatenate(users), return_inverse=True)
    total, samples = len(known), len(users)
    columns = values[0].shape[1]
    table = np.zeros((total, samples, columns + 1), dtype=np.float32)
    bounds = np.cumsum([0, *map(len, users)])
    for sample, found in enumerate(values):
        rows = places[bounds[sample] : bounds[sample + 1]]
        table[rows, sample, :columns] = found
        table[rows, sample, columns] = 1
    flat = table.reshape(total, -1)
    rng = np.random.default_rng(seed)
    means = np.empty((replicates, columns))
    block = max(1, _BLOCK_CELLS // total)
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        drawn = rng.integers(total, size=(size, total))
        drawn += np.arange(size)[:, None] * total
        counts = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
        sums = (counts.astype(np.float32) @ flat).reshape(size, samples, columns + 1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            # Of a handful of users a draw may leave a sample without any: it then counts for nothing.
            means[start : start + size] = np.nanmean(sums[:, :, :-1] / sums[:, :, -1:], axis=1)
    return means


def interval(replicates: Values, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Percentile interval of replicates (b,)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def columns_of(values: Mapping[str, Mapping[str, Values]]) -> tuple[list[tuple[str, str]], Values]:
    """Names (recommender, figure) of the columns, and the columns (m, c), of per-user values by both."""
    names = [(recommender, figure) for recommender, figures in values.items() for figure in figures]
    return names, np.stack([values[recommender][figure] for recommender, figure in names], axis=1)
