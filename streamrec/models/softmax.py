"""Softmax over sampled candidates, each weighted by how likely the sample held it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def log_inclusion(log_probability: Tensor, draws: int, uniform: int, items: int) -> Tensor:
    """Log of the probability (c,) that items are among the candidates of a batch.

    Candidates are the distinct items of `draws` events, each item's with its share of the events, and of
    `uniform` draws of any of the `items` (mixed negative sampling, Yang et al. 2020). The number of times an
    item is drawn is taken as Poisson.

    Args:
        log_probability: (c,) log of the items' shares of the events; -inf for none.
        draws, uniform, items: as above.
    """
    expected = draws * log_probability.exp() + uniform / items
    return torch.log(-torch.expm1(-expected)).clamp(min=-30.0)


def sampled_softmax(scores: Tensor, target: Tensor, log_q: Tensor, excluded: Tensor | None = None) -> Tensor:
    """Cross entropy (n,) of targets against candidates that were sampled: the logQ correction.

    A candidate stands for all items that could have been drawn in its place, so its term of the sum is
    divided by its probability q of being drawn (Horvitz and Thompson 1952): log q is subtracted from its
    score (Bengio and Senécal 2008; Yi et al., "Sampling-bias-corrected neural modeling", 2019). The target is
    there whatever is drawn: it stands for itself alone. Where every q is 1 this is the softmax itself.

    Args:
        scores: (n, c) of every row with every candidate.
        target: (n,) the column of each row's own item.
        log_q: (c,) log probabilities of being drawn.
        excluded: (n, c) accidental hits: candidates that are no negatives of the row; never its target.
    """
    rows = torch.arange(len(scores), device=scores.device)
    own = scores[rows, target]
    corrected = scores - log_q
    if excluded is not None:
        corrected = corrected.masked_fill(excluded, -torch.inf)
    corrected = corrected.index_put((rows, target), own)
    return cross_entropy(corrected, target, reduction="none")
