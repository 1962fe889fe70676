"""Any-order autoregressive model of discrete columns, trained by masking.

The network predicts every unknown column from any set of known ones, so it is a chain rule in every order
at once (Uria et al. 2014). As a diffusion it is the one with an absorbing state, each cell hidden at a
random time, in the limit of continuous time (Hoogeboom et al. 2022; MDLM, Sahoo et al. 2024).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from streamrec.models.discrete import UNKNOWN

BLOCK_ROWS = 8_192
"""Rows drawn or measured at once."""
MAX_EVALUATIONS = 64
"""Evaluations of the network per row; where there are more columns, some are drawn together."""
PSEUDO_COUNT = 0.1
"""Added to the count of every possible class before its logarithm is taken."""


class MaskedNetwork(nn.Module):
    """Logits of every column's classes given the columns that are known; a residual network.

    It starts as the independent marginals (`initialise`), as the weights of its head are zero.

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

        In the order of the columns, one at a time, if there are no more columns than `evaluations`. Else by
        falling entropy, cut into at most so many groups of about equal total entropy: columns of a group
        are drawn as if independent given all columns before, which costs at most the sum of their
        entropies less the greatest; rare labels share a step, frequent ones have their own.
        """
        if len(self.sizes) <= evaluations:
            return [[column] for column in range(len(self.sizes))]
        order = self.entropies.argsort(descending=True, stable=True).tolist()
        entropies = self.entropies.double().clamp(min=1e-6)[order]
        middle = (entropies.cumsum(0) - entropies / 2) / entropies.sum()
        groups = (middle * evaluations).long().tolist()
        pairs = itertools.groupby(zip(groups, order, strict=True), key=lambda pair: pair[0])
        return [[column for _, column in members] for _, members in pairs]

    def _marks(self, codes: Tensor) -> Tensor:
        unknown = torch.arange(self.width, self.width + len(self.sizes), device=codes.device)
        return torch.where(self.can_occur(codes), self._starts + codes, unknown)


class _ResidualBlock(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))


def order_agnostic_nats(
    network: MaskedNetwork, codes: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Unbiased estimate (n,) of an upper bound on -log p of rows (n, K), in nats per row.

    A random number m of the cells, 0 to K - 1, is known; the cross-entropy of the others counts K / (K - m)
    times: the mean over orders of -log p by the chain rule in that order (Hoogeboom et al. 2022, eq. 3), so
    no less than -log of the mean over orders of p. The m of the rows are spread evenly over the batch.
    """
    n, columns = codes.shape
    device = codes.device
    places = torch.rand(n, columns, generator=generator, device=device).argsort(1)
    strata = torch.randperm(n, generator=generator, device=device)
    jitter = torch.rand(n, generator=generator, device=device)
    known = ((strata + jitter) / n * columns).long().clamp(max=columns - 1)
    hidden = places >= known[:, None]
    counted = hidden & network.can_occur(codes)
    logits = network(codes.masked_fill(hidden, UNKNOWN))
    nats = -network.cell_log_probabilities(logits, codes.clamp(min=0))
    return nats.masked_fill(~counted, 0).sum(1) * columns / (columns - known)


@torch.no_grad()
def sample(
    network: MaskedNetwork,
    n: int,
    known: Tensor | None = None,
    generator: torch.Generator | None = None,
    evaluations: int = MAX_EVALUATIONS,
) -> Tensor:
    """Draw rows (n, K) int64: the cells that are UNKNOWN, column by column, given the others.

    Args:
        network: on the device of `known` and of the generator, in evaluation mode.
        n: number of rows.
        known: (n, K), classes that are given, kept as they are, and UNKNOWN; None: nothing is given.
        generator: source of the draws.
        evaluations: of the network per row, at most; with fewer than K, see `MaskedNetwork.steps`.

    Raises:
        ValueError: `known` is of another shape, or a class is none of its column's.
    """
    codes = network.marks.weight.new_full((n, len(network.sizes)), UNKNOWN, dtype=torch.int64)
    if known is not None:
        codes = _checked(network, known, n, UNKNOWN).clone()
    for block in codes.split(BLOCK_ROWS):
        state = network.read(block)
        for columns in network.steps(evaluations):
            if not (block[:, columns] == UNKNOWN).any():
                continue
            features = network.features(state)
            for column in columns:
                probabilities = network.column_log_probabilities(features, column).exp()
                draws = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
                drawn = block[:, column] == UNKNOWN
                network.learn(state, column, draws.masked_fill(~drawn, UNKNOWN))
                block[:, column] = torch.where(drawn, draws, block[:, column])
    return codes


@torch.no_grad()
def log_prob(network: MaskedNetwork, codes: Tensor, evaluations: int = MAX_EVALUATIONS) -> Tensor:
    """Log-probability (n,) in nats of rows (n, K): exactly that of `sample` with nothing given.

    Raises:
        ValueError: a cell is UNKNOWN or its class is none of its column's.
    """
    codes = _checked(network, codes, len(codes), 0)
    nats = torch.zeros(len(codes), device=codes.device)
    for block, total in zip(codes.split(BLOCK_ROWS), nats.split(BLOCK_ROWS), strict=True):
        state = network.read(torch.full_like(block, UNKNOWN))
        for columns in network.steps(evaluations):
            features = network.features(state)
            for column in columns:
                classes = block[:, column]
                total += network.column_log_probabilities(features, column).gather(1, classes[:, None])[:, 0]
                network.learn(state, column, classes)
    return nats


def _checked(network: MaskedNetwork, codes: Tensor, n: int, lowest: int) -> Tensor:
    if codes.shape != (n, len(network.sizes)):
        raise ValueError(f"codes must be of shape {(n, len(network.sizes))}, found {tuple(codes.shape)}")
    sizes = torch.tensor(network.sizes, device=codes.device)
    wrong = ((codes < lowest) | (codes >= sizes)).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        raise ValueError(
            f"codes, row {row}, column {column}: found class {int(codes[row, column])}, "
            f"expected {lowest} to {network.sizes[column] - 1}"
        )
    return codes
