"""Fréchet distance of two clouds of vectors taken as normal distributions: of latents, the FID."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import CatalogError

Floats = NDArray[np.floating]


def frechet_distance(real: Floats, synthetic: Floats) -> float:
    """Squared distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of vectors (n, d) and (m, d).

    m, S are mean and covariance (n - 1) of the real vectors, m', S' of the synthetic (Dowson and Landau
    1982; Heusel et al. 2017), in squared units of the vectors; at least 0, and 0 for equal moments.
    The vectors are encoded features or latents, both by one encoder.

    Raises:
        CatalogError: fewer than two vectors, different widths, or a value that is not finite.
    """
    first, second = (np.asarray(vectors, np.float64) for vectors in (real, synthetic))
    if first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise CatalogError(
            f"Fréchet distance: found vectors {first.shape} and {second.shape}, expected at least two of one "
            "width on each side"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise CatalogError("Fréchet distance: found values that are not finite, expected finite vectors")
    covariance, other = (np.atleast_2d(np.cov(vectors.T)) for vectors in (first, second))
    values, basis = np.linalg.eigh(covariance)
    root = basis * np.sqrt(np.maximum(values, 0)) @ basis.T
    # S S' has the eigenvalues of the symmetric S^(1/2) S' S^(1/2), which rounding leaves real.
    products = np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)
    between = ((first.mean(0) - second.mean(0)) ** 2).sum()
    within = np.trace(covariance) + np.trace(other) - 2 * np.sqrt(products).sum()
    return float(between + max(within, 0.0))
