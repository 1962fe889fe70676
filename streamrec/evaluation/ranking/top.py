"""`top_items`: the best items of each user by score, all ranked, none sampled; ties in a drawn order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import EvaluationError

Positions = NDArray[np.int64]

_LAST = np.iinfo(np.int64).max
"""Key of an item that is not ranked: behind every score."""
_LOW = np.int64(0xFFFFFFFF)


def tie_order(items: int, seed: int) -> Positions:
    """(I,) places of the items among equal scores, drawn at random.

    Never the position: positions follow the catalogue, and catalogues are often sorted by age or popularity.
    """
    return np.random.default_rng([seed, items]).permutation(items)


def top_items(scores: NDArray[np.float32], masked: NDArray[np.bool_], places: Positions, k: int) -> Positions:
    """(u, k) positions of the items with the highest scores, best first; -1 where fewer can be ranked.

    Each score becomes an integer key whose upper half falls as the score rises and whose lower half is the
    item's place among ties: keys differ, so that one partition finds the same items whatever the block.

    Args:
        scores: (u, I), as a `Recommender` gives them; -inf is not ranked.
        masked: (u, I), true where an item is not ranked for a user.
        places: (I,) `tie_order`.
        k: ranks.

    Raises:
        EvaluationError: a score is NaN or +inf.
    """
    if np.isnan(scores.max(initial=-np.inf)) or np.isposinf(scores.max(initial=-np.inf)):
        row, item = np.argwhere(np.isnan(scores) | np.isposinf(scores))[0]
        raise EvaluationError(
            f"score {scores[row, item]} of item {item} in row {row}: expected a finite number, or -inf for "
            "an item not to recommend; check the recommender's training for divergence"
        )
    # Adding 0 makes -0.0 a 0.0. Bits of negative numbers fall as the number rises: all but the sign flip.
    bits = (scores.astype(np.float32, copy=False) + np.float32(0)).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    keys = (~rising).astype(np.int64)
    keys <<= 32
    keys |= places
    keys[masked | np.isneginf(scores)] = _LAST
    kept = min(k, keys.shape[1])
    if kept < keys.shape[1]:
        keys.partition(kept - 1, axis=1)
    best = np.sort(keys[:, :kept], axis=1)
    items = np.argsort(places)[np.where(best == _LAST, 0, best & _LOW)]
    found = np.full((len(scores), k), -1, dtype=np.int64)
    found[:, :kept] = np.where(best == _LAST, -1, items)
    return found
