"""The straight path and its loss against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_flows import gaussian, normal
from torch import Tensor

from streamrec.models.flow.path import conditional_velocity, flow_matching_loss, interpolate


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(n: int) -> Tensor:
    return torch.rand(n, generator=seeded(99), dtype=torch.float64)


def nothing(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
    return torch.zeros_like(x)


def test_the_path_starts_at_the_noise_and_ends_at_the_data_exactly() -> None:
    noise, data = normal(50, 3).float() * 1e4, normal(50, 3, seed=1).float()
    assert torch.equal(interpolate(noise, data, torch.zeros(50)), noise)
    assert torch.equal(interpolate(noise, data, torch.ones(50)), data)


def test_the_conditional_velocity_carries_along_the_path() -> None:
    noise, data, times = normal(50, 3), normal(50, 3, seed=1), uniform(50)
    there = noise + times[:, None] * conditional_velocity(noise, data)
    torch.testing.assert_close(interpolate(noise, data, times), there)


@pytest.mark.parametrize("deviation", [0.5, 1.0, 2.0])
def test_the_least_loss_of_gaussian_data_is_half_pi_deviations(deviation: float) -> None:
    # Var(x_1 - x_0 | x_t) = s^2 / ((1 - t)^2 + t^2 s^2), whose integral over t from 0 to 1 is pi s / 2.
    n, law = 200_000, gaussian([3.0], deviation)

    def best(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return law.velocity(x, t)

    def worse(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return law.velocity(x, t) + 0.3 * torch.sin(5 * x)

    data = law.draw(n, seed=1)
    losses = flow_matching_loss(best, data, uniform(n), generator=seeded())
    assert losses.shape == (n,)
    error = losses.std().item() / math.sqrt(n)
    assert losses.mean().item() == pytest.approx(math.pi * deviation / 2, abs=4 * error)
    more = flow_matching_loss(worse, data, uniform(n), generator=seeded())
    assert more.mean() > losses.mean() + 0.02


def test_the_loss_is_the_mean_over_columns() -> None:
    # E (x_1 - x_0)^2 with x_1 = 2 is 5 in every column.
    losses = flow_matching_loss(nothing, torch.full((20_000, 4), 2.0), torch.zeros(20_000), None, 0, seeded())
    assert losses.mean().item() == pytest.approx(5, abs=0.1)


def test_coupling_leaves_the_marginals_and_shortens_the_paths() -> None:
    data = normal(512, 2, seed=1) * 2
    seen: list[Tensor] = []

    def noise_at_zero(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    times = torch.zeros(512, dtype=torch.float64)
    apart = flow_matching_loss(noise_at_zero, data, times, generator=seeded())
    together = flow_matching_loss(noise_at_zero, data, times, generator=seeded(), coupled=True)
    assert together.mean() < 0.6 * apart.mean()
    assert torch.equal(seen[0][:, 0].sort().values, seen[1][:, 0].sort().values)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("coupled", [False, True])
def test_dropout_zeroes_whole_conditions_and_each_condition_keeps_its_noise(coupled: bool) -> None:
    condition = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]).repeat(1_000, 1)
    data = torch.tensor([[-3.0], [3.0]]).repeat(1_000, 1)
    seen: list[tuple[Tensor, Tensor]] = []

    def network(x: Tensor, t: Tensor, given: Tensor | None) -> Tensor:
        assert given is not None
        seen.append((x, given))
        return x

    flow_matching_loss(network, data, torch.zeros(2_000), condition, 0.25, seeded(), coupled=coupled)
    noise, given = seen[0]
    dropped = (given == 0).all(1)
    assert torch.equal(given[~dropped], condition[~dropped])
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.04)
    of_second = noise[given[:, 1] == 1]
    assert of_second.mean().item() == pytest.approx(0, abs=4 / math.sqrt(len(of_second)))
    assert of_second.std().item() == pytest.approx(1, abs=0.1)


def test_the_generator_decides_every_draw() -> None:
    data, times, condition = torch.ones(64, 3), torch.full((64,), 0.5), torch.ones(64, 2)

    def losses(seed: int) -> Tensor:
        return flow_matching_loss(nothing, data, times, condition, 0.5, seeded(seed), coupled=True)

    assert torch.equal(losses(7), losses(7))
    assert not torch.equal(losses(7), losses(8))


def test_the_loss_trains_a_network_towards_the_velocity() -> None:
    # At one time, the least-squares line through (x_t, x_1 - x_0) is the velocity of Gaussian data.
    n, law, time = 100_000, gaussian([1.0], 2.0), 0.7
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    times = torch.full((n,), time, dtype=torch.float64)
    data = law.draw(n, seed=3)
    optimizer = torch.optim.LBFGS(line.parameters(), max_iter=20)

    def closure() -> float:
        optimizer.zero_grad()
        loss = flow_matching_loss(lambda x, t, c: line(x), data, times, generator=seeded()).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    optimizer.step(closure)
    variance = (1 - time) ** 2 + (2 * time) ** 2
    slope = (4 * time - (1 - time)) / variance
    assert line.weight.item() == pytest.approx(slope, abs=0.02)
    assert line.bias.item() == pytest.approx(1 - slope * time, abs=0.03)
