"""Noise schedules against their definitions, and the grids of times that walk them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamrec.models.diffusion.grids import Grid, karras_grid, log_snr_grid, uniform_grid
from streamrec.models.diffusion.schedule import NoiseSchedule

SCHEDULES = {
    "linear": NoiseSchedule.linear(),
    "cosine": NoiseSchedule.cosine(),
    "short": NoiseSchedule.linear(40, 1e-4, 0.06),
}
schedules = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
grids = pytest.mark.parametrize("grid", [uniform_grid, log_snr_grid, karras_grid])


def at(time: float) -> torch.Tensor:
    return torch.tensor(time, dtype=torch.float64)


def test_the_posterior_mean_of_a_known_step() -> None:
    posterior = SCHEDULES["short"].posterior(at(20 / 40), at(19 / 40))
    assert posterior.clean * 2 + posterior.noisy * 1 == pytest.approx(1.0988, abs=5e-5)


def test_a_step_has_the_textbook_posterior() -> None:
    schedule = SCHEDULES["short"]
    betas = [1e-4 + (0.06 - 1e-4) * i / 39 for i in range(40)]
    bars = [math.prod(1 - beta for beta in betas[: k + 1]) for k in range(40)]
    assert schedule.alpha_bars.tolist() == pytest.approx(bars, rel=1e-12)
    steps = torch.arange(2, 41, dtype=torch.float64)
    found = schedule.posterior(steps / 40, (steps - 1) / 40)
    for i in range(1, 40):
        beta, bar, before = betas[i], bars[i], bars[i - 1]
        tilde = beta * (1 - before) / (1 - bar)
        assert [float(part[i - 1]) for part in found] == pytest.approx(
            [
                math.sqrt(before) * beta / (1 - bar),
                math.sqrt(1 - beta) * (1 - before) / (1 - bar),
                tilde,
                beta,
            ],
            rel=1e-9,
        )


def test_the_posterior_undoes_the_marginal_over_any_width() -> None:
    # x_t = a x_0 + s e, so E[x_s] and Var[x_s] through q(x_s | x_t, x_0) must be the marginal's at s.
    schedule = SCHEDULES["linear"]
    for time, earlier in [(1.0, 0.001), (0.77, 0.3), (0.0105, 0.0101)]:
        posterior = schedule.posterior(at(time), at(earlier))
        alpha, sigma = schedule.marginal(at(time))
        before, spread = schedule.marginal(at(earlier))
        torch.testing.assert_close(posterior.clean + posterior.noisy * alpha, before)
        torch.testing.assert_close(posterior.noisy**2 * sigma**2 + posterior.small, spread**2)
        torch.testing.assert_close((1 - posterior.large) * before**2, alpha**2)


def test_the_cosine_schedule_follows_its_curve_until_betas_are_clipped() -> None:
    bars = SCHEDULES["cosine"].alpha_bars
    for step in (1, 250, 500, 999):
        curve = [math.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in (0, step)]
        assert bars[step - 1].item() == pytest.approx(curve[1] / curve[0], rel=1e-9)
    assert bars[-1].item() == pytest.approx(0.001 * bars[-2].item(), rel=1e-9)


@schedules
def test_steps_are_times_and_time_zero_is_the_data(schedule: NoiseSchedule) -> None:
    times = torch.arange(1, schedule.steps + 1, dtype=torch.float64) / schedule.steps
    alpha, sigma = schedule.marginal(times)
    torch.testing.assert_close(alpha**2, schedule.alpha_bars)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    assert [part.item() for part in schedule.marginal(at(0))] == [1, 0]
    assert schedule.log_snr(at(0)) == math.inf


@pytest.mark.parametrize("kind", SCHEDULES)
@given(time=st.floats(1e-6, 1), wider=st.floats(1e-6, 1))
def test_log_snr_falls_and_its_inverse_finds_the_time(kind: str, time: float, wider: float) -> None:
    schedule = SCHEDULES[kind]
    later = time + (1 - time) * wider
    assert schedule.log_snr(at(later)) < schedule.log_snr(at(time)) or later == time
    found = schedule.time_of(schedule.log_snr(at(time)))
    assert found.item() == pytest.approx(time, rel=1e-9)


@schedules
def test_single_precision_times_are_read_to_single_precision(schedule: NoiseSchedule) -> None:
    times = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    single, double = schedule.marginal(times), schedule.marginal(times.double())
    for found, expected in zip(single, double, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=2e-4, atol=1e-7)


def test_noise_beyond_the_last_step_is_the_last_step() -> None:
    schedule = SCHEDULES["short"]
    assert schedule.time_of(schedule.log_snr(at(1)) - 5) == 1
    assert schedule.time_of(at(math.inf)) == 0


@pytest.mark.parametrize("betas", [[], [0.1, 0.0], [0.1, 1.0], [math.nan], [[0.1]]])
def test_betas_out_of_bounds_are_refused(betas: list[float]) -> None:
    with pytest.raises(ValueError, match="betas must"):
        NoiseSchedule(torch.tensor(betas))


@grids
@schedules
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_a_grid_falls_from_its_first_time_to_zero(grid: Grid, schedule: NoiseSchedule, steps: int) -> None:
    times = grid(schedule, steps)
    assert times.shape == (steps + 1,)
    assert times[0] == 1
    assert times[-1] == 0
    assert (times.diff() < 0).all()


def test_grids_are_even_in_what_they_are_named_after() -> None:
    schedule = SCHEDULES["linear"]
    torch.testing.assert_close(
        uniform_grid(schedule, 4, first=0.8), torch.tensor([0.8, 0.6, 0.4, 0.2, 0]).double()
    )
    log_snr = schedule.log_snr(log_snr_grid(schedule, 9, first=0.9, last=0.002)[:-1])
    torch.testing.assert_close(log_snr.diff(), log_snr.diff().mean().expand(8))
    torch.testing.assert_close(
        log_snr[[0, -1]], schedule.log_snr(torch.tensor([0.9, 0.002]).double()), rtol=1e-6, atol=0
    )
    alpha, sigma = schedule.marginal(karras_grid(schedule, 9)[:-1])
    roots = (sigma / alpha) ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(8))


def test_the_uniform_grid_of_all_steps_has_the_betas() -> None:
    schedule = SCHEDULES["short"]
    times = uniform_grid(schedule, 40)
    torch.testing.assert_close(schedule.posterior(times[:-1], times[1:]).large.flip(0), schedule.betas)


@grids
def test_impossible_grids_are_refused(grid: Grid) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, found 0"):
        grid(SCHEDULES["linear"], 0)
    with pytest.raises(ValueError, match=r"found from 1\.2"):
        grid(SCHEDULES["linear"], 5, first=1.2)  # type: ignore[call-arg]
