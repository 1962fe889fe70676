"""Layers that models share."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


def project_evenly(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """`layer(inputs)`, computed as `multiply_evenly` does."""
    return multiply_evenly(inputs, layer.weight, layer.bias)


def multiply_evenly(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear(inputs, weight, bias)` with the output width filled up to a multiple of 16.

    A narrower product rounds a row differently by its place in the batch; an embedding must not.
    """
    width = len(weight)
    fill = -width % 16
    filled = None if bias is None else F.pad(bias, (0, fill))
    return F.linear(inputs, F.pad(weight, (0, 0, 0, fill)), filled)[:, :width]


def hidden_layers(widths: list[int]) -> nn.Sequential:
    """Linear, batch normalisation and ReLU from each of the widths to the next."""
    layers: list[nn.Module] = []
    for width, following in itertools.pairwise(widths):
        layers += [nn.Linear(width, following), nn.BatchNorm1d(following), nn.ReLU()]
    return nn.Sequential(*layers)
