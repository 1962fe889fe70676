"""EASE: a linear item-to-item model with a closed form (Steck, WWW 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from streamrec.interactions.table import Interactions
from streamrec.recommenders.forms import Fallback, ItemToItem, RecommenderError

MAX_ITEMS = 20_000
"""Inverting the Gram matrix of more takes over 3.2 GB and n^3 operations."""


def ease(events: Interactions, penalty: float) -> ItemToItem:
    """Weights B (I, I) that minimise |X - X B|^2 + penalty |B|^2 with a zero diagonal.

    B_ij = -P_ij / P_jj with P = (X^T X + penalty I)^-1, the equation 8 of the paper. Items without events
    get the score 0.

    Raises:
        RecommenderError: more than 20,000 items, or a penalty that is not positive.
    """
    items = len(events.item_ids)
    if items > MAX_ITEMS:
        raise RecommenderError(
            f"ease: {items} items, expected at most {MAX_ITEMS} (it inverts their Gram matrix); leave it out"
        )
    if not penalty > 0:
        raise RecommenderError(f"ease: penalty is {penalty}, expected more than 0; raise it")
    history = events.matrix()
    gram = (history.T @ history).astype(np.float64).toarray(order="F")
    gram[np.diag_indices(items)] += penalty
    inverse = _inverse(gram)
    diagonal = inverse.diagonal().copy()
    weights = np.empty((items, items), np.float32)
    np.divide(inverse, -diagonal, out=weights, casting="same_kind")
    np.fill_diagonal(weights, 0)
    return ItemToItem("ease", history, weights, Fallback.of(events))


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a symmetric positive definite matrix in Fortran order, in its own memory."""
    factor, failed = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
    if not failed:
        factor, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise RecommenderError("ease: the Gram matrix is not positive definite; raise penalty")
    for start in range(0, len(factor), 1024):
        stop = min(start + 1024, len(factor))
        block = factor[start:stop, start:stop]
        block[:] = np.tril(block) + np.tril(block, -1).T
        factor[start:stop, stop:] = factor[stop:, start:stop].T
    return factor
