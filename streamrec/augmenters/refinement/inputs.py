"""`RowInputs`: rows as the float32 matrix that the trees of the refinement see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]

MISSING_SCORE = np.float32(-10)
"""Score of a missing cell: below that of every number."""
ONE_HOT_CLASSES = 32
"""A discrete column of more classes is one input, its code: a split then parts a range of classes."""


@dataclass(frozen=True)
class RowInputs:
    """Layout of the inputs (n, F): scores first, in the order of their columns, then the discrete columns.

    A column of two classes is one input, its code; one of up to `ONE_HOT_CLASSES` is an input per class.
    """

    scores: int
    """Numeric columns N."""
    classes: tuple[int, ...]
    """Classes of each discrete column (K,)."""

    @property
    def width(self) -> int:
        """Inputs F of a row."""
        return self.scores + sum(c if 2 < c <= ONE_HOT_CLASSES else 1 for c in self.classes)

    def of(self, scores: Floats, missing: Flags, discrete: Codes) -> Floats:
        """Inputs (n, F) of rows: scores (n, N), whether they are missing (n, N), codes (n, K)."""
        parts = [np.where(missing, MISSING_SCORE, scores)]
        for classes, codes in zip(self.classes, discrete.T, strict=True):
            one_hot = 2 < classes <= ONE_HOT_CLASSES
            parts.append(codes[:, None] == np.arange(classes) if one_hot else codes[:, None])
        return np.concatenate(parts, axis=1, dtype=np.float32)
