"""The solvers against flows whose solution is known."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from gaussian_flows import gaussian, normal, three_parts
from torch import Tensor

from streamrec.errors import SamplingError
from streamrec.models.flow.solvers import (
    SOLVERS,
    Counted,
    dopri5,
    euler,
    rk4,
    uniform_grid,
)
from streamrec.models.settings import EVALUATIONS_PER_STEP

FIXED = sorted(EVALUATIONS_PER_STEP)


def error(name: str, steps: int) -> float:
    """Greatest error for x' = -2 t x^2, which goes from x_0 to x_0 / (1 + x_0).

    On a Gaussian's straight path, the midpoint rule would show order 3.
    """
    start = torch.linspace(0.5, 2, 50, dtype=torch.float64)[:, None]
    end = SOLVERS[name](lambda x, t: -2 * t[:, None] * x**2, start, uniform_grid(steps))
    return float((end - start / (1 + start)).abs().max())


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
def test_halving_the_steps_shows_the_order(name: str, order: int) -> None:
    ratio = error(name, 32) / error(name, 64)
    assert math.log2(ratio) == pytest.approx(order, abs=0.25)


def test_the_adaptive_solver_keeps_to_its_tolerance() -> None:
    law, start, times = gaussian([1.0], 2.0), normal(100, 1), uniform_grid(1)
    evaluations = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        counted = Counted(law.velocity)
        end = dopri5(counted, start, times, rtol=tolerance, atol=tolerance)
        assert (end - (1 + 2 * start)).abs().max() < 20 * tolerance
        evaluations.append(counted.evaluations)
    assert evaluations == sorted(set(evaluations))


def test_one_hard_row_among_many_easy_ones_is_solved_as_well() -> None:
    # x' = f cos(f t) with the frequency f as a second, constant column: x(1) = sin(f).
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        frequency = x[:, 1]
        return torch.stack([frequency * torch.cos(frequency * t), torch.zeros_like(t)], 1)

    start = torch.zeros(5_000, 2, dtype=torch.float64)
    start[-1, 1] = 40
    end = dopri5(velocity, start, uniform_grid(1))
    assert end[-1, 0].item() == pytest.approx(math.sin(40), abs=2e-4)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_a_straight_flow_takes_one_step(name: str) -> None:
    start, shift = normal(20, 3), normal(20, 3, seed=1)
    end = SOLVERS[name](lambda x, t: shift, start, uniform_grid(1))
    torch.testing.assert_close(end, start + shift)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_samples_of_a_mixture_have_its_weights_and_moments(name: str) -> None:
    law, n = three_parts(), 20_000
    steps = {"euler": 200, "rk4": 20}.get(name, 50)
    end = SOLVERS[name](law.velocity, normal(n, 2), uniform_grid(steps))
    nearest = torch.cdist(end, law.means).argmin(1)
    truth = torch.cdist(law.draw(200_000, seed=5), law.means).argmin(1)
    shares = torch.bincount(nearest) / n
    torch.testing.assert_close(shares, torch.bincount(truth) / len(truth), atol=0.015, rtol=0)
    mean = law.weights @ law.means
    assert (end.mean(0) - mean).abs().max() < 0.05
    second = law.weights @ (law.means.square() + law.deviations[:, None].square())
    torch.testing.assert_close(end.square().mean(0), second, atol=0, rtol=0.04)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_the_way_back_returns_to_the_noise(name: str) -> None:
    law, noise = three_parts(), normal(200, 2)
    times = uniform_grid(2_000 if name == "euler" else 200)
    data = SOLVERS[name](law.velocity, noise, times)
    again = SOLVERS[name](law.velocity, data, times.flip(0))
    assert (again - noise).abs().mean() < (5e-3 if name == "euler" else 1e-3)
    assert (data - noise).abs().mean() > 0.5


@pytest.mark.parametrize("name", FIXED)
def test_evaluations_per_step_are_those_made(name: str) -> None:
    counted = Counted(gaussian([0.0], 2.0).velocity)
    SOLVERS[name](counted, normal(3, 1), uniform_grid(7))
    assert counted.evaluations == 7 * EVALUATIONS_PER_STEP[name]
    assert set(SOLVERS) - set(EVALUATIONS_PER_STEP) == {"dopri5"}


def test_the_velocity_is_asked_at_the_times_of_the_method() -> None:
    asked: list[float] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        assert t.shape == (4,)
        asked.append(t[0].item())
        return x

    rk4(velocity, normal(4, 2), torch.tensor([0.0, 0.5, 0.75]))
    assert asked == [0, 0.25, 0.25, 0.5, 0.5, 0.625, 0.625, 0.75]
    asked.clear()
    euler(velocity, normal(4, 2), torch.tensor([1.0, 0.5, 0.0]))
    assert asked == [1, 0.5]


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize("n", [0, 5])
def test_the_type_of_the_rows_stays(name: str, n: int) -> None:
    end = SOLVERS[name](lambda x, t: x * t[:, None], torch.ones(n, 2), uniform_grid(100))
    assert end.dtype == torch.float32
    torch.testing.assert_close(end, torch.full((n, 2), math.exp(0.5)), rtol=0.01, atol=0)


def test_uniform_grid_ends_exactly() -> None:
    times = uniform_grid(3)
    assert times.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (times[0], times[-1]) == (0, 1)


@pytest.mark.parametrize(
    "velocity",
    [
        lambda x, t: torch.full_like(x, math.nan),
        lambda x, t: torch.sin(1e6 * t)[:, None].expand_as(x) * 1e6,
        lambda x, t: x.square() * 1e3,
    ],
    ids=["not-a-number", "too-fast", "explodes"],
)
def test_the_adaptive_solver_gives_up_in_one_line(velocity: partial[Tensor]) -> None:
    with pytest.raises(SamplingError, match=r"^dopri5 gave up between t = 0 and 1 .*rk4$"):
        dopri5(velocity, torch.ones(2, 1), uniform_grid(1))
