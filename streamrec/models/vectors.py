"""Networks of vectors that a flow or a diffusion trains: `network(x, t, condition)`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FREQUENCIES = 32
"""Sines and cosines that tell the network the time."""


class ResidualNetwork(nn.Module):
    """Residual MLP with a time embedding added before each block (as in TabDDPM, Kotelnikov et al. 2023).

    Args:
        dimension: width d of x and of the answer.
        condition: width of the condition; 0: it is ignored.
        width: of the hidden layers.
        blocks: residual blocks of two layers each.
    """

    frequencies: Tensor

    def __init__(self, dimension: int, condition: int, width: int, blocks: int) -> None:
        super().__init__()
        self.condition = condition
        self.inputs = nn.Linear(dimension + condition, width)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.outputs = nn.Linear(width, dimension)
        frequencies = torch.exp(torch.linspace(0, math.log(1000), FREQUENCIES))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """(n, d) for x (n, d) at times t (n,) in [0, 1]; without a condition, that of zeros."""
        angles = t[:, None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        if self.condition:
            given = x.new_zeros(len(x), self.condition) if condition is None else condition
            x = torch.cat([x, given], 1)
        hidden = self.inputs(x)
        for block in self.blocks:
            hidden = hidden + block(hidden + time)
        return self.outputs(hidden)


class VelocityNetwork(nn.Module):
    """A velocity of the straight path with the part that is known for unit data taken off the network.

    For data of variance 1, x_t has variance s^2 = t^2 + (1 - t)^2, the best linear guess of data - noise is
    (2 t - 1) / s^2 x_t and what remains has variance 1 / s^2: the preconditioning of Karras et al. (2022)
    for the path of flow matching.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Velocity (n, d) at x (n, d) and times t (n,): 0 is noise, 1 the data."""
        time = t[:, None]
        scale = (time**2 + (1 - time) ** 2).rsqrt()
        return (2 * time - 1) * scale**2 * x + scale * self.network(x * scale, t, condition)
