"""`ContentMap`: what the content of a new item leads to expect of it, by ridge regressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Penalties that each target chooses from."""
MOST_ITEMS = 100_000
"""Items fitted to, at most: of more, some are taken, evenly spaced."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ContentMap:
    """One ridge regression per target, whose penalty is that of the least leave-one-out error."""

    centre: Floats
    """(F,) mean content of the items fitted to."""
    mean: Floats
    """(t,) mean of the targets."""
    weights: Floats
    """(F, t)."""

    def __call__(self, content: Floats) -> Floats:
        """Expected targets (n, t) of content (n, F)."""
        return (self.mean + (content - self.centre) @ self.weights).astype(np.float32)

    @classmethod
    def of(cls, content: Floats, targets: Floats) -> ContentMap:
        """From content (n, F) to targets (n, t).

        Leaving an item out divides its residual by one minus its leverage (Allen's PRESS), so all
        penalties are compared with one factorisation.
        """
        step = max(1, -(-len(content) // MOST_ITEMS))
        content, targets = content[::step], targets[::step]
        centre, mean = content.mean(0, dtype=np.float64), targets.mean(0, dtype=np.float64)
        inputs, wanted = content - centre, targets - mean
        values, basis = np.linalg.eigh(inputs.T @ inputs)
        rotated = inputs @ basis
        moments, squares = rotated.T @ wanted, rotated**2
        values = np.maximum(values, 0)
        least = np.full(wanted.shape[1], np.inf)
        weights = np.zeros((inputs.shape[1], wanted.shape[1]))
        for penalty in PENALTIES:
            shrunk = moments / (values + penalty)[:, None]
            leverage = 1 / len(inputs) + squares @ (1 / (values + penalty))
            residuals = (wanted - rotated @ shrunk) / np.maximum(1 - leverage, 1e-3)[:, None]
            errors = (residuals**2).sum(0)
            better = errors < least
            least[better] = errors[better]
            weights[:, better] = basis @ shrunk[:, better]
        return cls(*(array.astype(np.float32) for array in (centre, mean, weights)))
