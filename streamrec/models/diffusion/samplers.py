"""Samplers: from x at the first of some times to x at the last, as pure functions with one signature.

`sampler(denoise, x, times, schedule, generator) -> x`, with

- denoise: `denoise(x, t)` estimates x_0 (n, d) at times t (n,);
- x: (n, d) at `times[0]`; standard normal where sampling starts from nothing;
- times: (steps + 1,), falling (`grids`); a grid that ends above 0 leaves x noisy;
- schedule: noise of each time;
- generator: source of the noise, on the device of x; the deterministic samplers draw none.

All raise ValueError where `times` do not fall within 0 to 1. Settings of one sampler are keyword arguments,
to be fixed with `functools.partial`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from streamrec.models.diffusion.predictions import noise_of_clean
from streamrec.models.diffusion.process import Denoise
from streamrec.models.diffusion.schedule import NoiseSchedule

Sampler = Callable[[Denoise, Tensor, Tensor, NoiseSchedule, torch.Generator | None], Tensor]


@torch.no_grad()
def ancestral(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    generator: torch.Generator | None = None,
    *,
    variance: Literal["small", "large"] = "small",
) -> Tensor:
    """Draws from q(x_s | x_t, x_0 = its estimate) step by step (Ho et al. 2020, algorithm 2).

    `variance` is the posterior's beta tilde ("small") or beta ("large", section 3.2). The step to time 0 adds
    no noise.
    """
    for time, earlier in _steps(times):
        posterior = schedule.posterior(time, earlier)
        x = posterior.clean * _estimate(denoise, x, time) + posterior.noisy * x
        if earlier > 0:
            spread = (posterior.small if variance == "small" else posterior.large).sqrt()
            x = x + spread * torch.empty_like(x).normal_(generator=generator)
    return x


@torch.no_grad()
def ddim(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    generator: torch.Generator | None = None,
    *,
    eta: float = 0.0,
) -> Tensor:
    """DDIM (Song et al. 2021, eq. 12 and 16).

    Deterministic at `eta` 0; at 1 the same as `ancestral` with the small variance.
    """
    for time, earlier in _steps(times):
        clean = _estimate(denoise, x, time)
        noise = noise_of_clean(clean, x, schedule.marginal(time))
        alpha, sigma = schedule.marginal(earlier)
        variance = eta**2 * schedule.posterior(time, earlier).small
        x = alpha * clean + (sigma**2 - variance).clamp(min=0).sqrt() * noise
        if variance > 0:
            x = x + variance.sqrt() * torch.empty_like(x).normal_(generator=generator)
    return x


@torch.no_grad()
def dpm_solver_pp_2m(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    generator: torch.Generator | None = None,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, one evaluation a step.

    The first step is of first order, and so is a step to time 0, where the log-SNR is infinite.
    """
    before: Tensor | None = None
    before_width = torch.zeros(())
    for time, earlier in _steps(times):
        width = (schedule.log_snr(earlier) - schedule.log_snr(time)) / 2
        clean = _estimate(denoise, x, time)
        direction = clean
        if before is not None and earlier > 0:
            direction = clean + width / (2 * before_width) * (clean - before)
        sigma = schedule.marginal(time).sigma
        alpha, later_sigma = schedule.marginal(earlier)
        x = later_sigma / sigma * x - alpha * torch.expm1(-width) * direction
        before, before_width = clean, width
    return x


@torch.no_grad()
def heun(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    schedule: NoiseSchedule,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Heun's method on d(x / alpha) / ds = noise with s = sigma / alpha (Karras et al. 2022, algorithm 1).

    Second order with two evaluations a step; a step to time 0 is Euler's, with one.
    """
    for time, earlier in _steps(times):
        here, there = schedule.marginal(time), schedule.marginal(earlier)
        width = there.sigma / there.alpha - here.sigma / here.alpha
        slope = noise_of_clean(_estimate(denoise, x, time), x, here)
        proposal = there.alpha * (x / here.alpha + width * slope)
        if earlier > 0:
            end_slope = noise_of_clean(_estimate(denoise, proposal, earlier), proposal, there)
            proposal = there.alpha * (x / here.alpha + width / 2 * (slope + end_slope))
        x = proposal
    return x


def nfe(sampler: Sampler, times: Tensor, schedule: NoiseSchedule) -> int:
    """Evaluations of the denoiser that `sampler` spends on `times`, counted on a single number."""
    count = 0

    def counting(x: Tensor, t: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return x

    sampler(counting, torch.zeros(1, 1), times, schedule, torch.Generator())
    return count


SAMPLERS: dict[str, Sampler] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "dpm_solver_pp_2m": dpm_solver_pp_2m,
    "heun": heun,
}
"""The samplers by name, with their default settings."""


def _steps(times: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each time with the next, as float64 scalars on the CPU: a scalar does not change the type of a row."""
    grid = times.detach().to("cpu", torch.float64)
    if len(grid) < 2 or not (grid.diff() < 0).all() or grid[0] > 1 or grid[-1] < 0:
        raise ValueError(
            f"sampling times must fall within 0 to 1 over one or more steps, found {grid.tolist()[:5]}"
        )
    return pairwise(grid)


def _estimate(denoise: Denoise, x: Tensor, time: Tensor) -> Tensor:
    return denoise(x, time.to(x).expand(len(x)))
