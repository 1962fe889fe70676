"""The straight path from noise to data and the loss that learns its velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from streamrec.models.flow.coupling import couple
from streamrec.models.guidance import Network, drop_condition


def interpolate(noise: Tensor, data: Tensor, times: Tensor) -> Tensor:
    """x_t = (1 - t) noise + t data, (n, d), for times (n,): exactly the noise at 0 and the data at 1."""
    return torch.lerp(noise, data, times[:, None])


def conditional_velocity(noise: Tensor, data: Tensor) -> Tensor:
    """dx_t/dt of the straight path, data - noise, (n, d), the same at all times."""
    return data - noise


def flow_matching_loss(
    network: Network,
    data: Tensor,
    times: Tensor,
    condition: Tensor | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    *,
    coupled: bool = False,
) -> Tensor:
    """Squared error of the network against data - noise, mean over the columns: conditional flow matching.

    The linear path with sigma_min = 0 (Lipman et al. 2023, eq. 23; I-CFM of Tong et al. 2024). The
    least expected loss is not 0 but the variance of data - noise given x_t.

    Args:
        network: predicts the velocity; trained with `guide` in mind: a condition of zeros says nothing.
        data: (n, d), columns of about unit variance, like the noise.
        times: (n,) from 0 (noise) to 1 (data), one per row.
        condition: (n, c), or None.
        dropout: probability with which a row's whole condition is zeroed; to drop columns one by one, call
            `drop_condition` with their widths instead.
        generator: source of the noise and the dropout, on the device of `data`.
        coupled: pair noise and data by minibatch optimal transport (`couple`) instead of at random.

    Returns:
        (n,) losses, one per row.
    """
    if condition is not None:
        condition = drop_condition(condition, dropout, generator)
    noise = torch.empty_like(data).normal_(generator=generator)
    if coupled:
        # By the condition as the network sees it: rows that lost theirs form a group of their own.
        noise = couple(noise, data, condition)
    predicted = network(interpolate(noise, data, times), times, condition)
    return (predicted - conditional_velocity(noise, data)).square().mean(1)
