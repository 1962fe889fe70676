"""How much likelier data are under one condition than under another, from a flow's denoising errors."""

from __future__ import annotations

import torch
from torch import Tensor

from streamrec.models.flow.path import interpolate
from streamrec.models.flow.solvers import Velocity

LOWEST, HIGHEST = -5.0, 5.0
"""Logarithms of the signal-to-noise ratio t^2 / (1 - t)^2 between which errors are compared: below, no
condition is told from another; above, a trained network's errors are its own."""


@torch.no_grad()
def log_evidence(
    velocity: Velocity, data: Tensor, groups: Tensor, levels: int, generator: torch.Generator
) -> Tensor:
    """Log density (n,) in nats, float64, of rows (n, d), but for a constant per group.

    d log p / d snr is half of d / (1 + snr) less the squared error of the best guess of the data at that
    noise (Guo et al. 2005; pointwise in Kong et al. 2023, eq. 8), so two conditions differ by half the
    integral of the difference of their errors. Its estimate draws a noise and a ratio of each of `levels`
    strata per group, the same for its rows: what they share cancels. An evaluation a level, without
    gradients: the exact density takes d + 1 passes for each of its evaluations.

    Args:
        velocity: (x (n, d), t (n,)) -> (n, d), with the rows' conditions bound.
        data: (n, d), equal within a group.
        groups: (n,) int64 from 0: the rows that are compared with each other.
        levels: evaluations of the velocity.
        generator: source of the noise and the ratios.
    """
    count = int(groups.max()) + 1 if len(groups) else 0
    total = torch.zeros(len(data), dtype=torch.float64)
    width = (HIGHEST - LOWEST) / levels
    for level in range(levels):
        log_ratio = LOWEST + width * (level + torch.rand(count, generator=generator))
        noise = torch.randn(count, data.shape[1], generator=generator)[groups].to(data)
        signal = torch.exp(log_ratio / 2)
        times = (signal / (1 + signal))[groups].to(data)
        x = interpolate(noise, data, times)
        error = (x + (1 - times[:, None]) * velocity(x, times) - data).square().sum(1)
        total -= width / 2 * (torch.exp(log_ratio)[groups] * error).double()
    return total
