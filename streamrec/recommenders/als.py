"""Implicit ALS (Hu, Koren, Volinsky, ICDM 2008), and two ways to give items without events a factor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamrec.interactions.table import Interactions, Positions
from streamrec.recommenders.content_knn import nearest_known
from streamrec.recommenders.forms import DotProduct, Fallback, Floats, RecommenderError, known_items
from streamrec.recommenders.ridge import regress

FACTORS = 64
ITERATIONS = 15


@dataclass(frozen=True)
class Factors:
    """Factors of users and items; those of users and items without events are zero."""

    users: Floats
    """(U, 64)."""
    items: Floats
    """(I, 64)."""
    known: Positions
    """Positions of the items with events."""
    fallback: Fallback


def factorise(events: Interactions, alpha: float, penalty: float, seed: int) -> Factors:
    """Minimise the weighted squared error over all cells, a consumed one weighing `alpha`, others 1.

    One thread: the bits do not depend on the machine's cores.

    Raises:
        RecommenderError: the library `implicit` is not installed.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise RecommenderError(
            "als: the library implicit is not installed; pip install 'streamrec[als]' or leave als out"
        ) from error
    known = known_items(events)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            FACTORS, penalty, alpha, iterations=ITERATIONS, num_threads=1, random_state=seed
        )
        model.fit(events.matrix(), show_progress=False)
    items = np.zeros_like(model.item_factors)
    items[known] = model.item_factors[known]
    return Factors(model.user_factors, items, known, Fallback.of(events))


def als(factors: Factors) -> DotProduct:
    """ALS as it is: items without events score 0."""
    return DotProduct("als", factors.users, factors.items, factors.fallback)


def als_with_map(factors: Factors, features: Floats, penalty: float) -> DotProduct:
    """Items without events get the factor that a ridge regression on features (I, F) expects."""
    known = factors.known
    centre, weights = regress(features[known], factors.items[known], penalty)
    expected = factors.items[known].mean(0) + (features - centre) @ weights
    return _filled(factors, expected, "als-map")


def als_with_neighbours(
    factors: Factors, features: Floats, neighbours: Sequence[int], centred: bool, seed: int
) -> Iterator[DotProduct]:
    """For each k: items without events get the mean factor of the k known items nearest by content."""
    found = nearest_known(features, factors.known, max(neighbours), centred, seed)
    for k in neighbours:
        expected = factors.items[found.items[:, :k]].mean(1)
        yield _filled(factors, expected, "als-knn")


def _filled(factors: Factors, expected: Floats, name: str) -> DotProduct:
    items = expected.astype(np.float32)
    items[factors.known] = factors.items[factors.known]
    return replace(als(factors), name=name, items=items)
