"""Samplers driven by exact denoisers: closed-form laws, known orders of convergence, a mixture's moments."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from streamrec.models.diffusion.grids import karras_grid, log_snr_grid, uniform_grid
from streamrec.models.diffusion.process import Denoise, marginal_rows
from streamrec.models.diffusion.samplers import (
    SAMPLERS,
    Sampler,
    ancestral,
    ddim,
    dpm_solver_pp_2m,
    heun,
    nfe,
)
from streamrec.models.diffusion.schedule import NoiseSchedule

LINEAR = NoiseSchedule.linear()
LARGE: Sampler = partial(ancestral, variance="large")
EVERY: dict[str, Sampler] = {
    **SAMPLERS,
    "ancestral, large": LARGE,
    "ddim, eta 0.5": partial(ddim, eta=0.5),
    "ddim, eta 1": partial(ddim, eta=1.0),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, d: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def gaussian(mean: float, deviation: float, schedule: NoiseSchedule = LINEAR) -> Denoise:
    """E[x_0 | x_t] of x_0 ~ N(mean, deviation^2)."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = marginal_rows(t, schedule)
        variance = deviation**2
        return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x - alpha * mean)

    return denoise


WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEANS = torch.tensor([[-1.5, 0.0], [1.0, 1.0], [1.0, -1.5]], dtype=torch.float64)
DEVIATIONS = torch.tensor([0.2, 0.4, 0.1], dtype=torch.float64)


def mixture(schedule: NoiseSchedule = LINEAR) -> Denoise:
    """E[x_0 | x_t] of the mixture of isotropic Gaussians above."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = marginal_rows(t, schedule)
        own = DEVIATIONS**2
        total = alpha**2 * own + sigma**2
        away = x[:, None] - alpha[..., None] * MEANS
        log_weight = WEIGHTS.log() - total.log() - (away**2).sum(2) / (2 * total)
        each = MEANS + (alpha * own / total)[..., None] * away
        return (log_weight.softmax(1)[..., None] * each).sum(1)

    return denoise


@pytest.mark.parametrize(
    ("sampler", "grid"),
    [
        (ancestral, log_snr_grid(LINEAR, 250)),
        (LARGE, log_snr_grid(LINEAR, 250)),
        (ddim, log_snr_grid(LINEAR, 200)),
        (dpm_solver_pp_2m, log_snr_grid(LINEAR, 60)),
        (heun, karras_grid(LINEAR, 40)),
    ],
    ids=["ancestral", "ancestral, large", "ddim", "dpm_solver_pp_2m", "heun"],
)
def test_the_exact_score_of_a_mixture_gives_the_mixture(sampler: Sampler, grid: Tensor) -> None:
    n = 10_000
    x = sampler(mixture(), noise(n, 2), grid, LINEAR, generator(1))
    mean = WEIGHTS @ MEANS
    torch.testing.assert_close(x.mean(0), mean, atol=0.04, rtol=0)
    second = (WEIGHTS[:, None] * (MEANS**2 + DEVIATIONS[:, None] ** 2)).sum(0)
    torch.testing.assert_close((x**2).mean(0), second, atol=0.05, rtol=0)
    nearest = (torch.cdist(x, MEANS) / DEVIATIONS).argmin(1)
    shares = nearest.bincount(minlength=3) / n
    torch.testing.assert_close(shares.double(), WEIGHTS, atol=0.015, rtol=0)
    for component in range(3):
        members = x[nearest == component]
        torch.testing.assert_close(members.mean(0), MEANS[component], atol=0.03, rtol=0)
        torch.testing.assert_close(members.std(0), DEVIATIONS[component].expand(2), atol=0, rtol=0.06)


@pytest.mark.parametrize("sampler", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("schedule", [LINEAR, NoiseSchedule.cosine()], ids=["linear", "cosine"])
def test_every_sampler_ends_on_the_last_denoised_estimate(sampler: Sampler, schedule: NoiseSchedule) -> None:
    grid = log_snr_grid(schedule, 6)
    answers: list[Tensor] = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        answers.append(x.tanh())
        return answers[-1]

    x = sampler(denoise, noise(50, 3), grid, schedule, generator())
    torch.testing.assert_close(x, answers[-1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver_pp_2m, heun], ids=lambda sampler: sampler.__name__)
def test_the_deterministic_samplers_are_exact_for_a_single_point(sampler: Sampler) -> None:
    # The estimate is constant, so is the noise: x_s = alpha_s m + sigma_s e on any grid.
    start = noise(20)
    times = torch.tensor([1.0, 0.7, 0.65, 0.2], dtype=torch.float64)
    alpha, sigma = LINEAR.marginal(times[[0, -1]])
    expected = alpha[1] * 3 + sigma[1] * (start - alpha[0] * 3) / sigma[0]
    found = sampler(lambda x, t: torch.full_like(x, 3), start, times, LINEAR, None)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("sampler", "order"),
    [(ddim, 1), (dpm_solver_pp_2m, 2), (heun, 2)],
    ids=["ddim", "dpm_solver_pp_2m", "heun"],
)
def test_deterministic_samplers_converge_with_their_order(sampler: Sampler, order: int) -> None:
    # The flow of a Gaussian keeps (x - alpha m) in units of its standard deviation.
    mean, deviation, start = 1.3, 0.4, noise(50)
    schedule = NoiseSchedule.linear(50, 0.002, 0.4)
    errors = []
    for steps in (40, 80, 160):
        times = log_snr_grid(schedule, steps + 1, first=0.9, last=0.1)[:-1]
        alpha, sigma = schedule.marginal(times[[0, -1]])
        spread = (alpha**2 * deviation**2 + sigma**2).sqrt()
        expected = alpha[1] * mean + spread[1] / spread[0] * (start - alpha[0] * mean)
        found = sampler(gaussian(mean, deviation, schedule), start, times, schedule, None)
        errors.append((found - expected).abs().max().item())
    rates = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert rates == pytest.approx([order] * 2, abs=0.2)


def test_the_multistep_solver_is_the_papers_algorithm_on_uneven_steps() -> None:
    # Lu et al. 2022b, algorithm 2, with lambda = log(alpha / sigma).
    times = [0.9, 0.5, 0.4, 0.1]
    alpha, sigma = (part.tolist() for part in LINEAR.marginal(torch.tensor(times, dtype=torch.float64)))
    lam = [math.log(a / s) for a, s in zip(alpha, sigma, strict=True)]
    x, data = 0.8, [math.nan]
    for i in (1, 2, 3):
        data.append(math.sin(3 * x) + times[i - 1])
        h = lam[i] - lam[i - 1]
        d = data[i]
        if i > 1:
            r = (lam[i - 1] - lam[i - 2]) / h
            d = (1 + 1 / (2 * r)) * data[i] - 1 / (2 * r) * data[i - 1]
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (math.exp(-h) - 1) * d

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return torch.sin(3 * x) + t[:, None]

    start = torch.full((1, 1), 0.8, dtype=torch.float64)
    found = dpm_solver_pp_2m(denoise, start, torch.tensor(times, dtype=torch.float64), LINEAR)
    assert found.item() == pytest.approx(x, rel=1e-10)


def test_ancestral_variances_are_exact_for_a_point_and_for_unit_normal_data() -> None:
    # Ho et al. 2020, section 3.2: beta is right for x_0 ~ N(0, 1), beta tilde for x_0 at one point.
    n = 100_000
    times = torch.tensor([1.0, 0.6, 0.5, 0.2], dtype=torch.float64)
    alpha, sigma = LINEAR.marginal(times[-1])
    point = ancestral(gaussian(2.0, 0.0), noise(n), times, LINEAR, generator(1))
    assert point.mean().item() == pytest.approx(2 * alpha.item(), abs=0.01)
    assert point.std().item() == pytest.approx(sigma.item(), rel=0.01)
    normal = LARGE(gaussian(0.0, 1.0), noise(n), times, LINEAR, generator(1))
    assert normal.std().item() == pytest.approx(1, rel=0.01)
    narrow = ancestral(gaussian(0.0, 1.0), noise(n), times, LINEAR, generator(1))
    variance = 1.0
    for time, earlier in pairwise(times):
        posterior = LINEAR.posterior(time, earlier)
        variance = float((1 - posterior.large) * variance + posterior.small)
    assert variance < 0.95
    assert narrow.var().item() == pytest.approx(variance, rel=0.02)


def test_ddim_with_full_noise_is_the_ancestral_sampler() -> None:
    grid, start = uniform_grid(LINEAR, 25), noise(100, 2)
    walked = ancestral(mixture(), start, grid, LINEAR, generator(4))
    torch.testing.assert_close(EVERY["ddim, eta 1"](mixture(), start, grid, LINEAR, generator(4)), walked)
    assert (ddim(mixture(), start, grid, LINEAR, None) - walked).abs().max() > 0.1


def test_second_order_is_closer_at_the_same_evaluations() -> None:
    start = noise(2_000, 2)
    exact = heun(mixture(), start, log_snr_grid(LINEAR, 300), LINEAR)
    errors = {
        sampler: (sampler(mixture(), start, log_snr_grid(LINEAR, 20), LINEAR) - exact).abs().mean().item()
        for sampler in (ddim, dpm_solver_pp_2m)
    }
    assert errors[dpm_solver_pp_2m] < errors[ddim] / 2


@pytest.mark.parametrize("sampler", EVERY.values(), ids=EVERY)
def test_a_seed_decides_the_draws_and_rows_keep_their_type(sampler: Sampler) -> None:
    grid, start = uniform_grid(LINEAR, 5), noise(10).float()
    first, again, other = (
        sampler(gaussian(1.0, 0.5), start, grid, LINEAR, generator(seed)) for seed in (1, 1, 2)
    )
    assert first.dtype == torch.float32
    assert torch.equal(first, again)
    random = sampler not in (ddim, dpm_solver_pp_2m, heun)
    assert torch.equal(first, other) is not random


def test_evaluations_are_counted() -> None:
    closed = uniform_grid(LINEAR, 10)
    counts = {name: nfe(sampler, closed, LINEAR) for name, sampler in SAMPLERS.items()}
    assert counts == {"ancestral": 10, "ddim": 10, "dpm_solver_pp_2m": 10, "heun": 19}
    assert nfe(heun, closed[:-1], LINEAR) == 18


@pytest.mark.parametrize("times", [[1.0], [0.5, 0.5], [0.2, 0.8], [1.1, 0.0], [0.5, -0.1], [math.nan, 0.0]])
def test_times_that_do_not_fall_within_bounds_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="sampling times must fall within 0 to 1"):
        ddim(gaussian(0.0, 1.0), noise(2), torch.tensor(times), LINEAR)
