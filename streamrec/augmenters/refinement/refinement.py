"""`Refinement`: drawn rows made exact, then thinned to the density of real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.augmenters.drafts import Draft


class Refinement:
    """Nothing, yet."""

    thins = False
    candidates = 1.0

    @classmethod
    def fit(cls, augmenter: Any, real: Draft, config: Any, seed: int) -> Refinement:
        """Fit."""
        return cls()

    def redraw(self, draft: Draft, missing: NDArray[np.bool_], seed: int) -> Draft:
        """Rows with every number drawn again."""
        return draft

    def thin(self, draft: Draft, n: int, seed: int) -> Draft:
        """n of the rows."""
        return draft.take(slice(n))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays."""
        return {}

    def settings(self) -> dict[str, Any]:
        """Settings."""
        return {}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Refinement:
        """Inverse."""
        return cls()
