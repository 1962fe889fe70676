"""A loss that keeps neighbours neighbours: stochastic neighbour embedding within a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from streamrec.layout import ONE_HOT_SCALE

SHARPNESS = 12.0
SOFTENING = ONE_HOT_SCALE**2
"""Added to an item's squared bandwidth: items with equal twins look beyond them."""
REMOTE = 1e9


def neighbour_cross_entropy(latents: Tensor, features: Tensor, log_sharpness: Tensor) -> Tensor:
    """Cross-entropy in nats of latent neighbours against feature neighbours, averaged over a batch.

    Parametric stochastic neighbour embedding (Hinton & Roweis 2002; van der Maaten 2009) with the cosine
    distance of the published index: p(j | i) is the softmax over the batch of -12 |f_i - f_j|^2 / (b_i + 9),
    b_i the squared distance to the second-nearest item; q(j | i) the softmax of minus the squared distance of
    the latents scaled to length 1, times exp(log_sharpness); the loss is the mean of -sum_j p log q.

    Args:
        latents: (n, d); gradients flow through them.
        features: (n, D); taken as given.
        log_sharpness: (), learned.
    """
    # In bfloat16 the nearest items would no longer be told apart.
    with torch.autocast(latents.device.type, enabled=False):
        return _cross_entropy(latents.float(), features.float(), log_sharpness)


def _cross_entropy(latents: Tensor, features: Tensor, log_sharpness: Tensor) -> Tensor:
    with torch.no_grad():
        distances = _squared_distances(features).fill_diagonal_(REMOTE)
        bandwidth = distances.topk(min(2, len(features) - 1), largest=False).values[:, -1:] + SOFTENING
        target = torch.softmax(distances * (-SHARPNESS / bandwidth), 1)
    directions = normalize(latents, dim=1)
    itself = torch.zeros_like(distances).fill_diagonal_(-REMOTE)
    # The squared distance of unit vectors is 2 minus twice their product, and the softmax drops the 2.
    similarity = torch.addmm(itself, directions * (2 * log_sharpness.exp()), directions.T)
    return -(target * torch.log_softmax(similarity, 1)).sum() / len(latents)


def _squared_distances(vectors: Tensor) -> Tensor:
    norms = (vectors**2).sum(1)
    return torch.addmm(norms[:, None] + norms, vectors, vectors.T, alpha=-2).clamp_(min=0)
