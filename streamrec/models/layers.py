"""Layers that models share."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn


def project_evenly(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """`layer(inputs)` with the output width filled up to a multiple of 16.

    A narrower product rounds a row differently by its place in the batch; an embedding must not.
    """
    width = layer.out_features
    fill = -width % 16
    return F.linear(inputs, F.pad(layer.weight, (0, 0, 0, fill)), F.pad(layer.bias, (0, fill)))[:, :width]


def hidden_layers(widths: list[int]) -> nn.Sequential:
    """Linear, batch normalisation and ReLU from each of the widths to the next."""
    layers: list[nn.Module] = []
    for width, following in itertools.pairwise(widths):
        layers += [nn.Linear(width, following), nn.BatchNorm1d(following), nn.ReLU()]
    return nn.Sequential(*layers)
