"""Log-densities of flows against closed forms, and of a trained network against the integral 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from gaussian_flows import Mixture, gaussian, normal, three_parts
from torch import Tensor, nn

from streamrec.models.flow.likelihood import (
    exact_divergence,
    hutchinson_divergence,
    log_density,
    rademacher,
)
from streamrec.models.flow.path import flow_matching_loss
from streamrec.models.flow.solvers import Solver, Velocity, dopri5, rk4, uniform_grid

TIGHT = partial(dopri5, rtol=1e-9, atol=1e-9)


def affine(matrix: Tensor, shift: Tensor) -> Velocity:
    return lambda x, t: x @ matrix.T + shift


def affine_law(matrix: Tensor, shift: Tensor) -> torch.distributions.MultivariateNormal:
    """Where x' = A x + b carries N(0, I) in unit time."""
    d = len(matrix)
    block = torch.zeros(d + 1, d + 1, dtype=matrix.dtype)
    block[:d, :d], block[:d, d] = matrix, shift
    flow = torch.matrix_exp(block)
    return torch.distributions.MultivariateNormal(flow[:d, d], flow[:d, :d] @ flow[:d, :d].T)


def random_network(d: int, seed: int = 0) -> Velocity:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(d + 1, 32), nn.SiLU(), nn.LayerNorm(32), nn.Linear(32, d)).double()
    return lambda x, t: layers(torch.cat([x, t[:, None]], 1))


@pytest.mark.parametrize("solver", [rk4, TIGHT], ids=["rk4", "dopri5"])
def test_an_affine_flow_has_the_density_of_its_gaussian(solver: Solver) -> None:
    matrix, shift = 0.6 * normal(4, 4, seed=1), normal(1, 4, seed=2)[0]
    x = 2 * normal(50, 4, seed=3)
    found = log_density(affine(matrix, shift), x, solver, uniform_grid(100))
    assert found.shape == (50,)
    torch.testing.assert_close(found, affine_law(matrix, shift).log_prob(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("law", [gaussian([1.0, -2.0], 0.3), three_parts()], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("solver", [rk4, TIGHT], ids=["rk4", "dopri5"])
def test_the_straight_path_to_a_mixture_ends_in_its_density(law: Mixture, solver: Solver) -> None:
    x = law.draw(200, seed=1)
    found = log_density(law.velocity, x, solver, uniform_grid(200))
    torch.testing.assert_close(found, law.log_density(x), atol=1e-5, rtol=0)


def test_a_shift_moves_the_standard_normal() -> None:
    x = normal(20, 3)
    found = log_density(lambda x, t: 0 * x + 2, x, rk4, uniform_grid(1))
    expected = -0.5 * (x - 2).square().sum(1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(found, expected)


def test_the_exact_divergence_is_the_trace_of_the_jacobian() -> None:
    velocity, x, t = random_network(5), normal(7, 5), torch.linspace(0, 1, 7, dtype=torch.float64)
    value, divergence = exact_divergence(velocity, x, t)
    torch.testing.assert_close(value, velocity(x, t).detach())
    for row in range(7):
        jacobian = torch.autograd.functional.jacobian(
            lambda z, row=row: velocity(z[None], t[row : row + 1])[0], x[row]
        )
        torch.testing.assert_close(divergence[row], torch.trace(jacobian))


def test_hutchinson_is_unbiased_with_the_known_variance() -> None:
    # Rademacher probes: mean tr A, variance sum over i < j of (A_ij + A_ji)^2.
    matrix, n = normal(6, 6, seed=4), 40_000
    x = torch.zeros(n, 6, dtype=torch.float64)
    velocity = affine(matrix, x[0])
    estimates = hutchinson_divergence(velocity, x, x[:, 0], rademacher(x, seed=0))[1]
    variance = torch.triu(matrix + matrix.T, 1).square().sum().item()
    assert estimates.mean().item() == pytest.approx(matrix.trace().item(), abs=4 * math.sqrt(variance / n))
    assert estimates.var().item() == pytest.approx(variance, rel=0.05)


def test_hutchinson_is_exact_where_columns_do_not_mix() -> None:
    matrix, shift = torch.diag(normal(1, 5)[0]), normal(1, 5, seed=1)[0]
    x = normal(30, 5, seed=2)
    times = uniform_grid(50)
    exact = log_density(affine(matrix, shift), x, rk4, times)
    estimate = log_density(affine(matrix, shift), x, rk4, times, exact_up_to=4, seed=3)
    torch.testing.assert_close(estimate, exact)


def test_the_estimate_centres_on_the_density_and_its_seed_decides_it() -> None:
    matrix, shift = 0.3 * normal(5, 5, seed=1), normal(1, 5, seed=2)[0]
    x = normal(1, 5, seed=3).repeat(10_000, 1)
    times = uniform_grid(10)

    def estimate(seed: int) -> Tensor:
        return log_density(affine(matrix, shift), x, rk4, times, exact_up_to=4, seed=seed)

    found = estimate(0)
    truth = affine_law(matrix, shift).log_prob(x[0]).item()
    assert found.std() > 0.1
    assert found.mean().item() == pytest.approx(truth, abs=4 * found.std().item() / 100)
    assert torch.equal(found, estimate(0))
    assert not torch.equal(found, estimate(1))


@pytest.mark.parametrize("exact_up_to", [0, 64])
def test_a_row_has_the_same_density_in_any_company(exact_up_to: int) -> None:
    velocity, x = random_network(4), normal(40, 4)
    density: Callable[[Tensor], Tensor] = lambda rows: log_density(  # noqa: E731
        velocity, rows, rk4, uniform_grid(5), exact_up_to
    )
    torch.testing.assert_close(density(x)[:10], density(x[:10]))


def test_the_parameters_gather_no_gradients() -> None:
    layer = nn.Linear(2, 2)
    found = log_density(lambda x, t: layer(x), torch.ones(3, 2), rk4, uniform_grid(2))
    assert not found.requires_grad
    assert layer.weight.grad is None


def trained_on(law: Mixture, steps: int) -> Velocity:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def network(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return layers(torch.cat([x, t[:, None]], 1))

    generator = torch.Generator().manual_seed(1)
    data = law.draw(20_000, seed=2).float()
    optimizer = torch.optim.Adam(layers.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        rows = data[torch.randint(len(data), (512,), generator=generator)]
        times = torch.rand(512, generator=generator)
        loss = flow_matching_loss(network, rows, times, generator=generator).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network


def test_a_trained_network_integrates_to_one_and_comes_near_the_truth() -> None:
    law = three_parts()
    velocity = trained_on(law, steps=800)
    axis = torch.linspace(-7, 7, 113)
    grid = torch.cartesian_prod(axis, axis)
    cell = (axis[1] - axis[0]).item() ** 2
    total = log_density(velocity, grid, rk4, uniform_grid(25)).exp().sum().item() * cell
    assert total == pytest.approx(1, abs=0.005)
    held_out = law.draw(2_000, seed=9)
    found = log_density(velocity, held_out.float(), rk4, uniform_grid(25)).double()
    excess = (law.log_density(held_out) - found).mean().item()
    # The excess is KL(truth || model) up to the draw of the held-out rows.
    assert -0.02 < excess < 0.09
