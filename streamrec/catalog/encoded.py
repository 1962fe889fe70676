"""`EncodedRows`: items as the four arrays a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EncodedRows:
    """`n` items, columns in the order of the codec's `FeatureLayout`."""

    categories: NDArray[np.int64]
    """(n, categorical columns): 0 missing, 1 unseen, 2 and up the vocabulary."""
    labels: NDArray[np.float32]
    """(n, labels of all multi-label columns): 1 where the item has the label, else 0."""
    numbers: NDArray[np.float32]
    """(n, numeric columns): scaled value, also at an atom; 0 where the cell is missing."""
    states: NDArray[np.int64]
    """(n, numeric columns): 0 ordinary value, 1 missing, 2 and up one state per atom."""

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, index: slice | NDArray[Any]) -> EncodedRows:
        """The rows of a slice, an array of positions or a boolean mask."""
        return EncodedRows(
            self.categories[index], self.labels[index], self.numbers[index], self.states[index]
        )
