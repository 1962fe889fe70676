"""The normal distributions of a variational autoencoder."""

from __future__ import annotations

import torch
from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in nats per unit, shape of `mean`."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)


def sample_posterior(mean: Tensor, log_variance: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw from N(mean, exp(log_variance)) that gradients pass through (reparameterisation)."""
    noise = torch.empty_like(mean).normal_(generator=generator)
    return torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
