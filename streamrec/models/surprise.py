"""Nats of every column of items under an ItemVAE."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from streamrec.layout import VALUE_STATE
from streamrec.models.batch import ItemBatch
from streamrec.models.gaussian import kl_to_standard_normal, sample_posterior
from streamrec.models.item_vae import IGNORE, Decoded, ItemVAE, Prepared

DRAWS = 8
"""Latents per item that an expectation is averaged over."""
LEAST_DEVIATION = 1e-3
"""Standard deviation of a residual, encoded units, at least."""
BLOCK_ROWS = 4_096
"""Items read at once."""


@torch.no_grad()
def residual_deviations(model: ItemVAE, items: ItemBatch, seed: int) -> Tensor:
    """Standard deviation (N,) of each number about what the decoder says, where it is an ordinary value."""
    generator = torch.Generator().manual_seed(seed)
    squares = torch.zeros(items.numbers.shape[1], dtype=torch.float64)
    for block in _blocks(items):
        prepared = model.prepare(block)
        latents = sample_posterior(*model.encode(prepared), generator)
        residuals = block.numbers - model.decode(latents, prepared).numbers
        squares += (residuals.square() * (block.states == VALUE_STATE)).sum(0).double()
    counts = (items.states == VALUE_STATE).sum(0).clamp(min=1)
    return (squares / counts).sqrt().clamp(min=LEAST_DEVIATION).float()


@torch.no_grad()
def elbo_parts(model: ItemVAE, items: ItemBatch, deviations: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Expected -log p(column | z) (n, columns) and KL(q(z | x) || p(z)) (n,), in nats.

    The evidence lower bound of an item is less the sum of both. Columns are in the order of the layout:
    categories, multi-labels, numbers. A number counts with the probability of its state and, where it is
    an ordinary value, with a Gaussian of `deviations` (N,) about the decoder's mean: the fixed one of the
    training loss would hide what is odd. A category that training never saw has no probability and counts
    nothing; nor does the column that the decoder is given.
    """
    generator = torch.Generator().manual_seed(seed)
    nats, divergences = [], []
    for block in _blocks(items):
        prepared = model.prepare(block)
        mean, log_variance = model.encode(prepared)
        divergences.append(kl_to_standard_normal(mean, log_variance).sum(1))
        draws = [
            column_nats(
                model,
                model.decode(sample_posterior(mean, log_variance, generator), prepared),
                prepared,
                block,
                deviations,
            )
            for _ in range(DRAWS)
        ]
        nats.append(torch.stack(draws).mean(0))
    return torch.cat(nats), torch.cat(divergences)


def column_nats(
    model: ItemVAE, decoded: Decoded, prepared: Prepared, items: ItemBatch, deviations: Tensor
) -> Tensor:
    """-log p(column | z) (n, columns) of items at the latents that were decoded; see `elbo_parts`."""
    layout = model.layout
    n, classes = len(items), len(layout.categorical)
    nats = items.numbers.new_zeros(n, classes + len(layout.multi_label) + len(layout.numeric))
    logits = iter(decoded.categories)
    for column in range(classes):
        if column != model.condition_column:
            target = prepared.targets[:, column]
            nats[:, column] = F.cross_entropy(next(logits), target, reduction="none", ignore_index=IGNORE)
    bernoulli = F.binary_cross_entropy_with_logits(decoded.labels, items.labels, reduction="none")
    start = 0
    for column, (_, size) in enumerate(layout.multi_label, classes):
        nats[:, column] = bernoulli[:, start : start + size].sum(1)
        start += size
    numbers = nats[:, classes + len(layout.multi_label) :]
    errors = (items.numbers - decoded.numbers) / deviations
    gaussian = 0.5 * errors.square() + deviations.log() + 0.5 * math.log(2 * math.pi)
    numbers += gaussian * (items.states == VALUE_STATE)
    for row, column in enumerate(model.stateful_columns):
        target = prepared.targets[:, classes + row]
        states = F.cross_entropy(decoded.states[:, row], target, reduction="none", ignore_index=IGNORE)
        numbers[:, column] += states
    return nats


def _blocks(items: ItemBatch) -> Iterator[ItemBatch]:
    for start in range(0, max(len(items), 1), BLOCK_ROWS):
        yield items[start : start + BLOCK_ROWS]
