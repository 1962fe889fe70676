"""The space in which support and privacy compare rows, and distances in it in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.columns import Columns

Floats = NDArray[np.float64]

BLOCK = 128
"""Rows compared at once: 128 x 20,000 distances are 20 MB."""
SPARSE = 0.03
"""A coordinate that fewer rows than this share have is worth a sparse product, ..."""
MANY = 64
"""... where there are as many such coordinates as this: large vocabularies."""


@dataclass(frozen=True)
class DistanceSpace:
    """Euclidean space of rows: numbers in training standard deviations, two categories 1 apart.

    Coordinates are the numbers standardised by the training mean and standard deviation (n - 1); a
    one-hot vector / sqrt(2) per category, missing and unseen being categories too; an indicator
    / sqrt(2) per label; an indicator per number of its being missing, whose value is then the mean.
    """

    mean: Floats
    """(N,)"""
    deviation: Floats
    """(N,); 1 where the training rows have one value at most."""

    @classmethod
    def of(cls, train: Columns) -> DistanceSpace:
        """Fit means and deviations to the training rows; missing cells do not count."""
        mean, deviation = np.zeros(train.numbers.shape[1]), np.ones(train.numbers.shape[1])
        for index, column in enumerate(train.numbers.T):
            values = column[~np.isnan(column)]
            if len(values):
                # The square of a value near the largest float64 has none.
                size = np.abs(values).max() or 1.0
                mean[index] = (values / size).mean() * size
                if values.min() < values.max():
                    deviation[index] = (values / size).std(ddof=1) * size
        return cls(mean, deviation)

    def place(self, columns: Columns) -> Floats:
        """Coordinates (n, D) of rows with the vocabularies of the training rows."""
        missing = np.isnan(columns.numbers)
        parts = [np.where(missing, 0.0, (columns.numbers - self.mean) / self.deviation), missing]
        for codec, codes in zip(columns.category_codecs, columns.categories.T, strict=True):
            parts.append((codes[:, None] == np.arange(codec.codes)) / math.sqrt(2))
        return np.column_stack([*parts, columns.labels / math.sqrt(2)])


def squared_distance_blocks(queries: Floats, points: Floats) -> Iterator[tuple[slice, Floats]]:
    """Which queries (q, D), and their squared distances (b, n) to all points (n, D), block by block.

    By |a|^2 + |b|^2 - 2ab: rounded by some 1e-16 of the squared lengths. The array may be overwritten.
    """
    lengths = np.einsum("nd,nd->n", points, points)
    sparse = (points != 0).mean(0) < SPARSE
    sparse &= sparse.sum() >= MANY
    dense_points, dense_queries = points[:, ~sparse], queries[:, ~sparse]
    sparse_points, sparse_queries = csr_array(points[:, sparse]).T.tocsr(), csr_array(queries[:, sparse])
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        distances = dense_queries[start : start + BLOCK] @ dense_points.T
        if sparse.any():
            distances += (sparse_queries[start : start + BLOCK] @ sparse_points).toarray()
        distances *= -2
        distances += np.einsum("nd,nd->n", block, block)[:, None]
        distances += lengths
        yield slice(start, start + len(block)), np.maximum(distances, 0, out=distances)


def nearest_distances(queries: Floats, points: Floats) -> Floats:
    """Distance (q,) from each query (q, D) to the nearest of the points (n, D): 0 exactly for a copy."""
    found = np.empty(len(queries))
    for where, squared in squared_distance_blocks(queries, points):
        found[where] = np.linalg.norm(queries[where] - points[squared.argmin(1)], axis=1)
    return found


def neighbour_distances(points: Floats, k: int) -> Floats:
    """Distance (n,) from each point (n, D) to its k-th nearest among the others.

    Raises:
        CatalogError: there are no k others.
    """
    if len(points) <= k:
        raise CatalogError(
            f"table to judge: found {len(points)} rows, expected at least {k + 1} for the {k} nearest "
            "neighbours of each; judge more rows"
        )
    found = np.empty(len(points))
    for where, squared in squared_distance_blocks(points, points):
        squared[np.arange(len(squared)), np.arange(where.start, where.stop)] = np.inf
        squared.partition(k - 1, axis=1)
        found[where] = squared[:, k - 1]
    return np.sqrt(found)
