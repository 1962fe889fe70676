"""`DiscreteColumns`: the discrete part of item rows as one table of class codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamrec.layout import MISSING_CODE, MISSING_STATE, UNSEEN_CODE, FeatureLayout
from streamrec.models.batch import ItemBatch

UNKNOWN = -1
"""Code of a cell whose class is not known."""


@dataclass(frozen=True)
class DiscreteColumns:
    """K columns of classes: categories, then a column of two per label, then per number that can be missing.

    A category keeps its code (0 missing, 1 unseen, 2 and up the vocabulary), a label is 0 or 1, and a
    nullable number is 1 where it is missing.
    """

    names: tuple[str, ...]
    """(K): the column, `column[label]` by the label's position, `column missing`."""
    sizes: tuple[int, ...]
    """(K): number of classes, possible or not."""
    layout: FeatureLayout
    """The encoded columns that the classes come from."""

    @classmethod
    def of(cls, layout: FeatureLayout) -> DiscreteColumns:
        """The discrete columns of encoded items; there may be none."""
        sizes = dict(layout.categorical)
        sizes |= {f"{name}[{label}]": 2 for name, count in layout.multi_label for label in range(count)}
        sizes |= {f"{name} missing": 2 for name, _ in layout.numeric if name in layout.nullable}
        return cls(tuple(sizes), tuple(sizes.values()), layout)

    @property
    def width(self) -> int:
        """Total number of classes."""
        return sum(self.sizes)

    @property
    def possible(self) -> Tensor:
        """(width,) bool: not so for an unseen category, nor for a missing one where training had none."""
        flags = torch.ones(self.width, dtype=torch.bool)
        start = 0
        for name, size in self.layout.categorical:
            flags[start + UNSEEN_CODE] = False
            flags[start + MISSING_CODE] = name in self.layout.nullable
            start += size
        return flags

    def codes(self, batch: ItemBatch) -> Tensor:
        """Class codes (n, K) int64 of items (n,)."""
        missing = batch.states[:, self._flagged] == MISSING_STATE
        return torch.cat([batch.categories, batch.labels.long(), missing.long()], 1)

    def split(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Inverse of `codes`: categories (n, C) int64, labels (n, L) float32, missing numbers (n, N) bool.

        A number that is never missing has no column, and is False.
        """
        counts = [len(self.layout.categorical), self.layout.label_width, len(self._flagged)]
        categories, labels, flags = codes.split(counts, 1)
        missing = torch.zeros(len(codes), len(self.layout.numeric), dtype=torch.bool, device=codes.device)
        missing[:, self._flagged] = flags == 1
        return categories, labels.float(), missing

    def one_hot(self, codes: Tensor) -> Tensor:
        """(n, width) float32, a block of `sizes[k]` per column; zeros where the code is UNKNOWN.

        So it can be the condition of another network, whose blocks `drop_condition` zeroes by `sizes`.
        """
        starts = torch.tensor([0, *self.sizes[:-1]], device=codes.device).cumsum(0)[: len(self.sizes)]
        vectors = torch.zeros(len(codes), self.width, device=codes.device)
        return vectors.scatter_(1, starts + codes.clamp(min=0), (codes != UNKNOWN).float())

    @property
    def _flagged(self) -> list[int]:
        nullable = self.layout.nullable
        return [column for column, (name, _) in enumerate(self.layout.numeric) if name in nullable]
