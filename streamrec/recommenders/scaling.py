"""`Scaling`: the content of items as towers see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 32
"""Steps of a number, at most."""
MIN_VALUES = 16
"""A feature with more values than this is a number; others tell categories, labels and what is missing."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """Content of items: centred, of the same spread whatever the encoder, and numbers also as steps.

    One spread for all columns: were each scaled to deviation 1, what few items have would count for most. A
    step is 1 above a quantile of its number and 0 below: sums of steps are what linear maps cannot make of
    the number itself, such as "the last three years". Latents have no steps: they are smooth already.
    """

    mean: Floats
    """(F,) over the items that the towers were trained on."""
    deviation: Floats
    """(1,) root of the mean variance of the columns that vary; 1 where none does."""
    columns: NDArray[np.int64]
    """(S,) column of each step."""
    thresholds: Floats
    """(S,) where each step is."""

    @classmethod
    def of(cls, latents: Floats, features: Floats) -> Scaling:
        """From the latents (n, d) and features (n, F - d) of the training items."""
        content = np.concatenate([latents, features], 1)
        variances = content.var(0)
        varying = variances[variances > 1e-12]
        deviation = np.sqrt(varying.mean()) if len(varying) else 1.0
        shares = (np.arange(STEPS) + 0.5) / STEPS
        steps = {
            column: np.unique(np.quantile(content[:, column], shares, method="lower"))
            for column in range(latents.shape[1], content.shape[1])
            if len(np.unique(content[:, column])) > MIN_VALUES
        }
        columns = [np.full(len(found), column) for column, found in steps.items()]
        return cls(
            content.mean(0).astype(np.float32),
            np.array([deviation], np.float32),
            np.concatenate([*columns, np.empty(0)]).astype(np.int64),
            np.concatenate([*steps.values(), np.empty(0)]).astype(np.float32),
        )

    def __call__(self, latents: Floats, features: Floats) -> Floats:
        """Scaled content and steps (n, F + S)."""
        content = np.concatenate([latents, features], 1)
        steps = content[:, self.columns] > self.thresholds
        return np.concatenate([(content - self.mean) / self.deviation, steps], 1).astype(np.float32)
