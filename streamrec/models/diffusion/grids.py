"""Grids of times that a sampler walks: (steps + 1,) float64, falling from `first` to exactly 0.

All have one signature. `first` is where sampling starts: at 1, or later where a schedule ends in more noise
than a solver needs. Time 0 is the data: the last step takes the denoised estimate at the last time before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from streamrec.models.diffusion.schedule import NoiseSchedule

Grid = Callable[[NoiseSchedule, int], Tensor]
"""`grid(schedule, steps)`."""

RHO = 7.0
"""Karras et al. 2022, eq. 5: how much shorter the steps are near the data."""


def uniform_grid(schedule: NoiseSchedule, steps: int, first: float = 1.0) -> Tensor:
    """Evenly spaced times; with `schedule.steps` steps, those of the full ancestral sampler."""
    _check(steps, first, 0.0)
    return first * torch.arange(steps, -1, -1, dtype=torch.float64) / steps


def log_snr_grid(
    schedule: NoiseSchedule, steps: int, first: float = 1.0, last: float | None = None
) -> Tensor:
    """Times with evenly spaced log-SNR from `first` to `last` (by default the schedule's step 1), then 0."""
    low, high = _log_snr_bounds(schedule, steps, first, last)
    return _closed(schedule.time_of(torch.linspace(low, high, steps, dtype=torch.float64)), first)


def karras_grid(schedule: NoiseSchedule, steps: int, first: float = 1.0, last: float | None = None) -> Tensor:
    """Times with sigma / alpha as in Karras et al. 2022, eq. 5, from `first` to `last` (step 1), then 0."""
    low, high = _log_snr_bounds(schedule, steps, first, last)
    start, end = (math.exp(-log_snr / (2 * RHO)) for log_snr in (low, high))
    roots = torch.linspace(start, end, steps, dtype=torch.float64)
    return _closed(schedule.time_of(-2 * RHO * roots.log()), first)


def _log_snr_bounds(
    schedule: NoiseSchedule, steps: int, first: float, last: float | None
) -> tuple[float, float]:
    end = 1 / schedule.steps if last is None else last
    _check(steps, first, end)
    low, high = schedule.log_snr(torch.tensor([first, end], dtype=torch.float64)).tolist()
    return low, high


def _check(steps: int, first: float, last: float) -> None:
    if steps < 1:
        raise ValueError(f"sampling steps must be at least 1, found {steps}")
    if not 0 <= last < first <= 1:
        raise ValueError(f"sampling times must fall within 0 to 1, found from {first} to {last}")


def _closed(times: Tensor, first: float) -> Tensor:
    """`times` from exactly `first`, with 0 at the end."""
    return torch.cat([times.new_tensor([first]), times[1:], times.new_zeros(1)])
