"""`MaskedNetwork`: predicts every unknown discrete column from any set of known ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamrec.models.discrete import UNKNOWN

PSEUDO_COUNT = 0.1
"""Added to the count of every possible class before its logarithm is taken."""


class MaskedNetwork(nn.Module):
    """Logits of every column's classes given the columns that are known; a residual network.

    The weights of its head are zero at first: it starts as independent columns, of uniform classes until
    `initialise` brings their frequencies.

    Args:
        sizes: number of classes of each of the K columns; `width` in all.
        possible: (width,) bool, the classes that can occur; None: all. A cell of another class is never
            drawn, is read as unknown and does not count in the loss; its log-probability is -inf.
        hidden: width of the hidden layers.
        blocks: number of residual blocks.

    Raises:
        ValueError: no column, a column without a possible class, or `possible` of another width.
    """

    possible: Tensor
    """(width,) bool: classes that can occur."""
    entropies: Tensor
    """(K,) nats: entropy of each column in the training rows; 0 before `initialise`."""
    _starts: Tensor

    def __init__(
        self, sizes: Sequence[int], possible: Tensor | None = None, hidden: int = 128, blocks: int = 2
    ) -> None:
        super().__init__()
        width = sum(sizes)
        possible = torch.ones(width, dtype=torch.bool) if possible is None else possible.clone()
        if len(possible) != width:
            raise ValueError(f"possible classes must be {width} flags, one per class, found {len(possible)}")
        if not sizes or not all(len(flags) and flags.any() for flags in possible.split(list(sizes))):
            raise ValueError(f"every column needs a possible class, and there must be one; sizes {sizes}")
        self.sizes, self.width = tuple(sizes), width
        self.starts = tuple(itertools.accumulate(sizes[:-1], initial=0))
        self.register_buffer("_starts", torch.tensor(self.starts), persistent=False)
        self.register_buffer("possible", possible)
        self.register_buffer("entropies", torch.zeros(len(sizes)))
        self.marks = nn.EmbeddingBag(width + len(sizes), hidden, mode="sum")
        nn.init.normal_(self.marks.weight, std=len(sizes) ** -0.5)
        self.blocks = nn.ModuleList(_ResidualBlock(hidden) for _ in range(blocks))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def extra_repr(self) -> str:
        """Settings: networks with equal `repr` differ in their weights and buffers only."""
        return f"sizes={self.sizes}"

    @torch.no_grad()
    def initialise(self, codes: Tensor) -> None:
        """Set the biases to the log-frequencies of the classes of rows (n, K), and the entropies to theirs.

        With `PSEUDO_COUNT`, a class that is possible has a probability though it does not occur.
        """
        found = self._marks(codes).flatten()
        counts = torch.bincount(found, minlength=self.width + len(self.sizes))[: self.width]
        weights = torch.where(self.possible, counts + PSEUDO_COUNT, 0.0)
        columns = weights.split(list(self.sizes))
        shares = torch.cat([column / column.sum() for column in columns])
        self.head.bias.copy_(torch.where(self.possible, shares.log(), 0.0))
        entropies = torch.special.entr(shares).split(list(self.sizes))
        self.entropies.copy_(torch.stack([column.sum() for column in entropies]))

    def forward(self, codes: Tensor) -> Tensor:
        """Logits (n, width) of rows (n, K) whose unknown cells are UNKNOWN; -inf of impossible classes."""
        return self.head(self.features(self.read(codes))).masked_fill(~self.possible, -torch.inf)

    def read(self, codes: Tensor) -> Tensor:
        """What the first layer makes of rows (n, K): (n, hidden), a sum over their cells."""
        return self.marks(self._marks(codes))

    def learn(self, state: Tensor, column: int, codes: Tensor) -> None:
        """Add to `state`, what `read` gave of rows (n, K), the `codes` (n,) of a column that was unknown."""
        mark = self.starts[column] + codes.clamp(min=0)
        unknown = self.width + column
        known = (codes != UNKNOWN) & self.possible[mark]
        state += self.marks.weight[torch.where(known, mark, unknown)] - self.marks.weight[unknown]

    def features(self, state: Tensor) -> Tensor:
        """What the head reads, (n, hidden)."""
        for block in self.blocks:
            state = state + block(state)
        return self.norm(state)

    def column_log_probabilities(self, features: Tensor, column: int) -> Tensor:
        """Log-probabilities (n, classes) of one column's classes."""
        where = slice(self.starts[column], self.starts[column] + self.sizes[column])
        logits = F.linear(features, self.head.weight[where], self.head.bias[where])
        return logits.masked_fill(~self.possible[where], -torch.inf).log_softmax(1)

    def cell_log_probabilities(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Log-probabilities (n, K) of the cells of rows (n, K), none of them UNKNOWN."""
        parts, start = [], 0
        for size, run in itertools.groupby(self.sizes):
            count = len(list(run))
            block = logits[:, start : start + count * size].float().unflatten(1, (count, size))
            parts.append(block.log_softmax(2).flatten(1))
            start += count * size
        return torch.cat(parts, 1).gather(1, self._starts + codes)

    def can_occur(self, codes: Tensor) -> Tensor:
        """(n, K) bool: cells that are known and of a possible class."""
        return (codes != UNKNOWN) & self.possible[self._starts + codes.clamp(min=0)]

    def steps(self, evaluations: int) -> list[list[int]]:
        """Which columns are drawn together, step by step.

        If there are no more columns than `evaluations`: one at a time, in their order. Else by falling
        entropy, neighbours of least total entropy joined until so many groups are left. The columns of a
        group are drawn as if independent of each other given all before, which costs at most the sum of
        their entropies less the greatest: rare labels share a step, frequent ones have their own.
        """
        if len(self.sizes) <= evaluations:
            return [[column] for column in range(len(self.sizes))]
        order = self.entropies.argsort(descending=True, stable=True)
        groups, totals = order[:, None].tolist(), self.entropies[order].tolist()
        while len(groups) > evaluations:
            sums = [one + next_one for one, next_one in itertools.pairwise(totals)]
            least = sums.index(min(sums))
            totals[least : least + 2] = [sums[least]]
            groups[least : least + 2] = [groups[least] + groups[least + 1]]
        return groups

    def _marks(self, codes: Tensor) -> Tensor:
        unknown = torch.arange(self.width, self.width + len(self.sizes), device=codes.device)
        return torch.where(self.can_occur(codes), self._starts + codes, unknown)


class _ResidualBlock(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
