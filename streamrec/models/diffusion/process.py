"""The forward process, the training loss, and a network as a denoiser."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from streamrec.models.diffusion.predictions import Prediction
from streamrec.models.diffusion.schedule import Marginal, NoiseSchedule
from streamrec.models.guidance import Network, drop_condition

Denoise = Callable[[Tensor, Tensor], Tensor]
"""`denoise(x, t)`: estimate (n, d) of x_0 from x_t = x (n, d) at times t (n,)."""


def uniform_times(
    n: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """(n,) float32 training times, uniform in (0, 1], one in each of n equal intervals, in random order.

    A batch whose times are spread out has a steadier loss (Kingma et al. 2021, appendix I.1).
    """
    draws = torch.rand(n, generator=generator, device=device)
    order = torch.randperm(n, generator=generator, device=device)
    return (order + 1 - draws) / n


def log_normal_times(
    n: int,
    schedule: NoiseSchedule,
    mean: float = -1.2,
    deviation: float = 1.2,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """(n,) float32 training times: log(sigma / alpha) ~ N(mean, deviation^2) (Karras et al. 2022, table 1).

    Noise levels beyond those of the schedule's steps count as its first and last step.
    """
    log_ratio = mean + deviation * torch.randn(n, generator=generator, device=device)
    return schedule.time_of(-2 * log_ratio).clamp(min=1 / schedule.steps)


def marginal_rows(times: Tensor, schedule: NoiseSchedule) -> Marginal:
    """alpha and sigma of times (n,) as (n, 1), to multiply rows."""
    alpha, sigma = schedule.marginal(times)
    return Marginal(alpha[:, None], sigma[:, None])


def diffuse(clean: Tensor, noise: Tensor, times: Tensor, schedule: NoiseSchedule) -> Tensor:
    """x_t = alpha x_0 + sigma noise, (n, d), of `clean` and `noise` (n, d) at times (n,)."""
    alpha, sigma = marginal_rows(times, schedule)
    return alpha * clean + sigma * noise


def diffusion_loss(
    network: Network,
    clean: Tensor,
    times: Tensor,
    prediction: Prediction,
    schedule: NoiseSchedule,
    condition: Tensor | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Squared error of the network's answer, mean over the columns, unweighted (Ho et al. 2020, eq. 14).

    Args:
        network: trained with `guide` in mind: a condition of zeros says nothing.
        clean: (n, d) rows of data.
        times: (n,) in (0, 1], one per row (`uniform_times`, `log_normal_times`).
        prediction: what the network answers.
        schedule: noise of each time.
        condition: (n, c), or None.
        dropout: probability with which a row's whole condition is zeroed; to drop columns one by one, call
            `drop_condition` with their widths instead.
        generator: source of the noise and the dropout, on the device of `clean`.

    Returns:
        (n,) losses, one per row.
    """
    if condition is not None:
        condition = drop_condition(condition, dropout, generator)
    noise = torch.empty_like(clean).normal_(generator=generator)
    at = marginal_rows(times, schedule)
    x = at.alpha * clean + at.sigma * noise
    output = network(prediction.inputs(x, at), times, condition)
    return ((output - prediction.target(clean, noise, at)) ** 2).mean(1)


def denoiser(
    network: Network, prediction: Prediction, schedule: NoiseSchedule, condition: Tensor | None = None
) -> Denoise:
    """`network` as the samplers read it: an estimate of x_0 given `condition` (n, c)."""

    def denoise(x: Tensor, times: Tensor) -> Tensor:
        at = marginal_rows(times, schedule)
        return prediction.clean(network(prediction.inputs(x, at), times, condition), x, at)

    return denoise
