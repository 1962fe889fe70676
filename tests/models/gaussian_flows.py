"""Flows whose solution is known: the straight path from N(0, I) to a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """sum_k weights[k] N(means[k], deviations[k]^2 I): weights (K,), means (K, d), deviations (K,)."""

    weights: Tensor
    means: Tensor
    deviations: Tensor

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """E[x_1 - x_0 | x_t = x], of noise and data paired at random."""
        t = t[:, None]
        variance = (1 - t) ** 2 + (t * self.deviations) ** 2
        slope = (t * self.deviations**2 - (1 - t)) / variance
        rest = x[:, None] - t[:, None] * self.means
        log_joint = self.weights.log() - 0.5 * (rest.square().sum(2) / variance + x.shape[1] * variance.log())
        by_component = self.means + slope[:, :, None] * rest
        return (log_joint.softmax(1)[:, :, None] * by_component).sum(1)

    def log_density(self, x: Tensor) -> Tensor:
        components = torch.distributions.Independent(
            torch.distributions.Normal(self.means, self.deviations[:, None].expand_as(self.means)), 1
        )
        return torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(self.weights), components
        ).log_prob(x)

    def draw(self, n: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        part = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        normal = torch.randn(n, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[part] + self.deviations[part, None] * normal


def gaussian(mean: list[float], deviation: float) -> Mixture:
    means = torch.tensor([mean], dtype=torch.float64)
    return Mixture(means.new_ones(1), means, means.new_tensor([deviation]))


def three_parts() -> Mixture:
    return Mixture(
        torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64),
        torch.tensor([[-2.0, 0.0], [1.0, 2.0], [1.5, -1.5]], dtype=torch.float64),
        torch.tensor([0.4, 0.6, 0.5], dtype=torch.float64),
    )


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
