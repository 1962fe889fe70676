"""Metrics of full rankings, a value per user; relevance is binary.

A ranking is read from two arrays: `hits` (m, K), true where the item at a rank is relevant, best rank first,
and `relevant` (m,), how many relevant items each user has (at least one), retrieved or not. Where fewer items
than K can be ranked the missing ranks hold no hit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]

CUTOFFS = (10, 20, 50)
"""Ranks at which rankings are cut."""


def recall(hits: Hits, relevant: Counts, k: int) -> Values:
    """(m,) share of a user's relevant items among the first k: |top-k and R| / |R|.

    The divisor is |R|, not min(k, |R|): a user with more than k relevant items cannot reach 1.
    Source: Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008), section 8.4.
    """
    return hits[:, :k].sum(1) / relevant


def ndcg(hits: Hits, relevant: Counts, k: int) -> Values:
    """(m,) discounted cumulative gain over that of the best ranking: sum of hit_r / log2(r + 1) for r <= k,
    divided by the same sum with hits at the ranks 1 to min(k, |R|).

    Source: Jaervelin, Kekaelaeinen, Cumulated gain-based evaluation of IR techniques (2002), with the
    discount log2(r + 1) of Burges et al. (2005).
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    shown = hits[:, :k]
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])
    return (shown @ discounts[: shown.shape[1]]) / ideal[np.minimum(relevant, k)]


def reciprocal_rank(hits: Hits, relevant: Counts, k: int) -> Values:
    """(m,) 1 / rank of the first relevant item, 0 where none is among the first k; its mean is MRR@k.

    Source: Voorhees, The TREC-8 question answering track report (1999).
    """
    shown = hits[:, :k]
    return shown.any(1).astype(np.float64) / (shown.argmax(1) + 1)


def hit_rate(hits: Hits, relevant: Counts, k: int) -> Values:
    """(m,) 1 where a relevant item is among the first k, else 0.

    Source: Deshpande, Karypis, Item-based top-N recommendation algorithms (2004).
    """
    return (hits[:, :k].sum(1) > 0).astype(np.float64)


METRICS: dict[str, Callable[[Hits, Counts, int], Values]] = {
    "recall": recall,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "hit": hit_rate,
}
"""By the name that stands before the cut-off, as in `ndcg@10`."""
