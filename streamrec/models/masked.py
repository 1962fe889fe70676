"""The law of discrete columns by a network that predicts them in any order: loss, draws, log-probability.

`MaskedNetwork` is a chain rule in every order at once (Uria et al. 2014). As a diffusion it is the one with
an absorbing state, each cell hidden at a random time, in the limit of continuous time (Hoogeboom et al. 2022;
MDLM, Sahoo et al. 2024).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from streamrec.models.discrete import UNKNOWN
from streamrec.models.masked_network import MaskedNetwork

BLOCK_ROWS = 2_048
"""Rows drawn or measured at once: their activations stay in cache."""
MAX_EVALUATIONS = 64
"""Evaluations of the network per row; where there are more columns, some are drawn together."""
BELOW_ONE = 1 - 2**-53
"""Largest double below 1."""
FINEST = 1e-9
"""A row's number is drawn anew once its cells had less than this probability: few of its digits are left."""


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

    Each row has the network's law, but the rows are spread over it: one number in [0, 1) per row, one in
    each n-th of it, decides all its cells as in arithmetic coding. So with nothing given, the count of
    every combination of classes of the columns drawn first is within 2 of its expectation.

    Args:
        network: on the device of `known` and of the generator, in evaluation mode.
        n: number of rows.
        known: (n, K), classes that are given, kept as they are, and UNKNOWN; None: nothing is given.
        generator: source of the draws.
        evaluations: of the network per row, at most; with fewer than K, see `MaskedNetwork.steps`.

    Raises:
        ValueError: `known` is of another shape, or a class is none of its column's.
    """
    device = network.marks.weight.device
    codes = torch.full((n, len(network.sizes)), UNKNOWN, device=device)
    if known is not None:
        codes = _checked(network, known, n, UNKNOWN).clone()

    def uniform(rows: int) -> Tensor:
        return torch.rand(rows, generator=generator, device=device, dtype=torch.float64)

    places = ((torch.randperm(n, generator=generator, device=device) + uniform(n)) / n).clamp(max=BELOW_ONE)
    steps = network.steps(evaluations)
    for block, place in zip(codes.split(BLOCK_ROWS), places.split(BLOCK_ROWS), strict=True):
        state, interval = network.read(block), torch.ones_like(place)
        for columns in steps:
            if not (block[:, columns] == UNKNOWN).any():
                continue
            features = network.features(state)
            for column in columns:
                drawn = block[:, column] == UNKNOWN
                classes, inside, share = _locate(network.column_log_probabilities(features, column), place)
                network.learn(state, column, classes.masked_fill(~drawn, UNKNOWN))
                block[:, column] = torch.where(drawn, classes, block[:, column])
                place, interval = (
                    torch.where(drawn, inside, place),
                    torch.where(drawn, interval * share, interval),
                )
                fresh = interval < FINEST
                place = torch.where(fresh, uniform(len(place)), place)
                interval = interval.masked_fill(fresh, 1)
    return codes


def _locate(log_probabilities: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The class (n,) in whose share of [0, 1) each place lies, the place within that share, and the share."""
    upper = log_probabilities.double().exp().cumsum(1)
    upper = upper / upper[:, -1:]
    classes = (upper <= place[:, None]).sum(1)
    lower = F.pad(upper, (1, 0)).gather(1, classes[:, None])[:, 0]
    share = upper.gather(1, classes[:, None])[:, 0] - lower
    return classes, ((place - lower) / share).clamp(max=BELOW_ONE), share


@torch.no_grad()
def log_prob(network: MaskedNetwork, codes: Tensor, evaluations: int = MAX_EVALUATIONS) -> Tensor:
    """Log-probability (n,) in nats of rows (n, K): exactly that of `sample` with nothing given.

    Raises:
        ValueError: a cell is UNKNOWN or its class is none of its column's.
    """
    codes = _checked(network, codes, len(codes), 0)
    nats = torch.zeros(len(codes), device=codes.device)
    steps = network.steps(evaluations)
    for block, total in zip(codes.split(BLOCK_ROWS), nats.split(BLOCK_ROWS), strict=True):
        state = network.read(torch.full_like(block, UNKNOWN))
        for columns in steps:
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
