"""Minibatch optimal transport: which noise starts the path to which row."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256
"""Rows assigned at a time: the exact assignment takes 2 ms at 256 rows (d = 50), 56 ms at 1,024."""


def couple(noise: Tensor, data: Tensor, condition: Tensor | None = None) -> Tensor:
    """The rows of `noise` reordered so that row i is the start of the path to row i of `data`.

    The exact assignment of least total squared distance within each block of `BLOCK` rows (OT-CFM of
    Tong et al. 2024; Pooladian et al. 2023): paths are shorter and cross less, so a solver needs fewer steps.
    With a condition, only rows of equal condition trade noise. Otherwise the noise of a condition would no
    longer be the standard normal that sampling starts from (Cheng & Schwing 2025).

    Args:
        noise, data: (n, d).
        condition: (n, c), or None for an unconditional model.
    """
    if condition is None:
        groups = [torch.arange(len(data), device=data.device)]
    else:
        keys = condition.unique(dim=0, return_inverse=True)[1]
        groups = [torch.nonzero(keys == key)[:, 0] for key in keys.unique()]
    coupled = noise.clone()
    for group in groups:
        for rows in group.split(BLOCK):
            coupled[rows] = noise[rows[_assign(noise[rows], data[rows])]]
    return coupled


def _assign(noise: Tensor, data: Tensor) -> Tensor:
    """Index of the noise of each row. Squared lengths are in every total, so only the products count."""
    # SciPy imports NumPy; training without coupling does with torch alone.
    from scipy.optimize import linear_sum_assignment

    products = (data @ noise.T).double().cpu().numpy()
    return torch.from_numpy(linear_sum_assignment(products, maximize=True)[1]).to(noise.device)
