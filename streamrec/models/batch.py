"""Encoded items as tensors, the input of every model: `ItemBatch`, and `ScoreBatch` for vector models."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class ItemBatch:
    """Encoded items; the columns are those of the `FeatureLayout`, in its order."""

    categories: Tensor
    """(n, C) int64 category codes."""
    labels: Tensor
    """(n, L) float32 label indicators, 0 or 1."""
    numbers: Tensor
    """(n, N) float32 scaled numbers; 0 where missing."""
    states: Tensor
    """(n, N) int64 number states: 0 an ordinary value, 1 missing, 2 and up an atom."""

    @classmethod
    def from_arrays(cls, encoded: Any) -> ItemBatch:
        """From an object with NumPy arrays of the same names (the codec's `EncodedRows`)."""
        return cls(**{field.name: torch.from_numpy(getattr(encoded, field.name)) for field in fields(cls)})

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, index: Any) -> ItemBatch:
        return ItemBatch(self.categories[index], self.labels[index], self.numbers[index], self.states[index])

    def to(self, device: torch.device | str) -> ItemBatch:
        """The same batch on `device`."""
        return ItemBatch(
            self.categories.to(device),
            self.labels.to(device),
            self.numbers.to(device),
            self.states.to(device),
        )


@dataclass(frozen=True)
class ScoreBatch:
    """Items as vectors with a condition, for a flow or a diffusion."""

    scores: Tensor
    """(n, N) float32: a cell that is a point."""
    low: Tensor
    """(n, N) float32: rank at which the interval of a spread cell begins."""
    high: Tensor
    """(n, N) float32: rank at which it ends; equal to `low` where the cell is a point."""
    condition: Tensor
    """(n, c) float32: one-hot blocks, zeros where nothing is said."""

    def __len__(self) -> int:
        return len(self.scores)

    def to(self, device: torch.device | str) -> ScoreBatch:
        """The same batch on `device`."""
        return ScoreBatch(
            self.scores.to(device), self.low.to(device), self.high.to(device), self.condition.to(device)
        )
