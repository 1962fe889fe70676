"""Noise schedules: q(x_t | x_0) = N(alpha_t x_0, sigma_t^2 I), variance preserving."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_BETA = 0.999
"""The cosine schedule's last betas are clipped here (Nichol & Dhariwal 2021, section 3.2)."""


class Marginal(NamedTuple):
    """q(x_t | x_0) = N(alpha x_0, sigma^2 I), with alpha^2 + sigma^2 = 1."""

    alpha: Tensor
    sigma: Tensor


class Posterior(NamedTuple):
    """q(x_s | x_t, x_0): its mean is `clean` x_0 + `noisy` x_t (Ho et al. 2020, eq. 7)."""

    clean: Tensor
    noisy: Tensor
    small: Tensor
    """Its variance, beta tilde: right for the reverse step where x_0 is one point."""
    large: Tensor
    """beta, the variance of q(x_t | x_s): right for the reverse step where x_0 ~ N(0, I)."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Betas of T steps, read at any time t in [0, 1].

    Step k of the T (from 1) is time k / T and has alpha_bar = prod_{i <= k} (1 - beta_i). In between,
    log alpha_bar is linear in t, as DPM-Solver reads a discrete schedule (Lu et al. 2022): the log-SNR is
    continuous and falls strictly from infinity (t = 0, the data) to its value at step T (t = 1). Times may be
    of any shape, device and floating type; what is computed from them has the same.

    Args:
        betas: (T,) in (0, 1).

    Raises:
        ValueError: no beta, or one out of bounds.
    """

    betas: Tensor
    _table: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        betas = self.betas.detach().to("cpu", torch.float64)
        if betas.ndim != 1 or not len(betas):
            raise ValueError(f"betas must be one or more in a row, found the shape {tuple(betas.shape)}")
        if not ((betas > 0) & (betas < 1)).all():
            raise ValueError(
                f"betas must lie between 0 and 1, found {betas.min():g} to {betas.max():g}; "
                "change beta_min, beta_max or steps"
            )
        object.__setattr__(self, "betas", betas)
        log_alpha_bars = torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])
        object.__setattr__(self, "_table", log_alpha_bars)

    @classmethod
    def linear(cls, steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> NoiseSchedule:
        """Betas evenly spaced from `beta_min` to `beta_max` (Ho et al. 2020).

        The defaults leave alpha_bar = 4e-5 at t = 1; fewer steps need larger betas to reach pure noise.
        """
        return cls(torch.linspace(beta_min, beta_max, steps, dtype=torch.float64))

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008) -> NoiseSchedule:
        """alpha_bar is a squared cosine (Nichol & Dhariwal 2021, eq. 17); betas stop at `LARGEST_BETA`."""
        angles = (torch.arange(steps + 1, dtype=torch.float64) / steps + offset) / (1 + offset)
        alpha_bars = torch.cos(angles * (math.pi / 2)) ** 2
        return cls((1 - alpha_bars[1:] / alpha_bars[:-1]).clamp(max=LARGEST_BETA))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.betas)

    @property
    def alpha_bars(self) -> Tensor:
        """(T,) float64: alpha_bar of steps 1 to T."""
        return self._table[1:].exp()

    def log_alpha_bar(self, times: Tensor) -> Tensor:
        """2 log alpha_t, at most 0."""
        table = self._table.to(times.device, times.dtype)
        position = times * self.steps
        step = position.detach().floor().clamp(0, self.steps - 1).long()
        return torch.lerp(table[step], table[step + 1], position - step)

    def marginal(self, times: Tensor) -> Marginal:
        """alpha_t and sigma_t, of the shape of `times`."""
        log_alpha_bar = self.log_alpha_bar(times)
        return Marginal((0.5 * log_alpha_bar).exp(), (-torch.expm1(log_alpha_bar)).sqrt())

    def log_snr(self, times: Tensor) -> Tensor:
        """log(alpha_t^2 / sigma_t^2); infinite at time 0."""
        log_alpha_bar = self.log_alpha_bar(times)
        return log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))

    def time_of(self, log_snr: Tensor) -> Tensor:
        """Inverse of `log_snr`; 1 for all that is below its value there."""
        table = -self._table.to(log_snr.device, log_snr.dtype)
        depth = -F.logsigmoid(log_snr)
        step = (torch.searchsorted(table, depth.contiguous(), right=True) - 1).clamp(0, self.steps - 1)
        below, above = table[step], table[step + 1]
        return ((step + (depth - below) / (above - below)) / self.steps).clamp(max=1)

    def posterior(self, times: Tensor, earlier: Tensor) -> Posterior:
        """q(x_s | x_t, x_0) between t = `times` and s = `earlier` < t.

        Step k of the T is t = k / T and s = (k - 1) / T; wider steps follow from the same schedule.
        """
        here, there = self.log_alpha_bar(times), self.log_alpha_bar(earlier)
        left, large = -torch.expm1(there), -torch.expm1(here - there)
        total = -torch.expm1(here)
        return Posterior(
            clean=(0.5 * there).exp() * large / total,
            noisy=(0.5 * (here - there)).exp() * left / total,
            small=large * left / total,
            large=large,
        )
