"""Ridge regressions from the content of items: to who consumes them, and to any targets."""

from __future__ import annotations

import numpy as np

from streamrec.interactions.table import Interactions
from streamrec.recommenders.forms import DotProduct, Fallback, Floats, RecommenderError, known_items


def content_ridge(events: Interactions, features: Floats, penalty: float) -> DotProduct:
    """One linear model per user of whether an item is consumed, given its features (I, F).

    Fitted to the items with events; items without any are scored by the same weights.

    Raises:
        RecommenderError: the penalty is not positive.
    """
    known = known_items(events)
    consumed = events.matrix()[:, known]
    centre, weights = regress(features[known], consumed.T, penalty)
    return DotProduct("content-ridge", weights.T.copy(), features - centre, Fallback.of(events))


def regress(features: Floats, targets: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Centre c (F,) and weights W (F, t) of targets ~ mean + (features - c) W, the means not penalised.

    W minimises |targets - means - (features - c) W|^2 + penalty |W|^2; `targets` (n, t) may be sparse.

    Raises:
        RecommenderError: the penalty is not positive.
    """
    if not penalty > 0:
        raise RecommenderError(f"ridge: penalty is {penalty}, expected more than 0; raise it")
    centre = features.mean(0, dtype=np.float64)
    inputs = features - centre
    gram = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    # The inputs sum to zero over the rows: centring the targets would change nothing.
    weights = np.linalg.solve(gram, np.asarray((targets.T @ inputs).T))
    return centre.astype(np.float32), weights.astype(np.float32)
