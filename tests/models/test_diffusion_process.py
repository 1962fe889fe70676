"""The forward process, the three predictions and the training loss against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamrec.models.diffusion.predictions import (
    EDMPrediction,
    EpsilonPrediction,
    Prediction,
    VPrediction,
    clean_of_noise,
    noise_of_clean,
)
from streamrec.models.diffusion.process import (
    denoiser,
    diffuse,
    diffusion_loss,
    log_normal_times,
    marginal_rows,
    uniform_times,
)
from streamrec.models.diffusion.schedule import NoiseSchedule

SCHEDULE = NoiseSchedule.cosine()
PREDICTIONS = [EpsilonPrediction(), VPrediction(), EDMPrediction(), EDMPrediction(0.5)]
predictions = pytest.mark.parametrize("prediction", PREDICTIONS, ids=str)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def test_diffused_rows_have_the_closed_form_marginal() -> None:
    n = 200_000
    clean = torch.tensor([[2.0, -1.0]]).expand(n, 2)
    noise = torch.randn(n, 2, generator=generator())
    x = diffuse(clean, noise, torch.full((n,), 0.3), NoiseSchedule.linear())
    alpha_bar = NoiseSchedule.linear().alpha_bars[299].item()
    assert x.mean(0).tolist() == pytest.approx([2 * alpha_bar**0.5, -(alpha_bar**0.5)], abs=0.01)
    assert x.var(0).tolist() == pytest.approx([1 - alpha_bar] * 2, rel=0.01)


def test_one_step_at_a_time_gives_the_same_marginal() -> None:
    schedule = NoiseSchedule.linear(40, 1e-4, 0.06)
    mean, variance = 2.0, 0.0
    for beta in schedule.betas[:20].tolist():
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
    alpha, sigma = schedule.marginal(torch.tensor(0.5, dtype=torch.float64))
    assert [2 * alpha.item(), sigma.item() ** 2] == pytest.approx([mean, variance], rel=1e-12)


@predictions
def test_the_target_tells_both_data_and_noise(prediction: Prediction) -> None:
    clean, noise = drawn(50, 3, 1), drawn(50, 3, 2)
    times = torch.linspace(0.001, 0.999, 50, dtype=torch.float64)
    x, at = diffuse(clean, noise, times, SCHEDULE), marginal_rows(times, SCHEDULE)
    target = prediction.target(clean, noise, at)
    torch.testing.assert_close(prediction.clean(target, x, at), clean, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(prediction.noise(target, x, at), noise, rtol=1e-8, atol=1e-10)


@predictions
def test_any_answer_means_one_pair_of_data_and_noise(prediction: Prediction) -> None:
    output, x = drawn(50, 3, 3), drawn(50, 3, 4)
    times = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    at = marginal_rows(times, SCHEDULE)
    clean, noise = prediction.clean(output, x, at), prediction.noise(output, x, at)
    torch.testing.assert_close(clean_of_noise(noise, x, at), clean)
    torch.testing.assert_close(noise_of_clean(clean, x, at), noise)
    torch.testing.assert_close(prediction.target(clean, noise, at), output)


def test_preconditioning_with_unit_data_is_v_prediction_turned() -> None:
    clean, noise = drawn(20, 2, 5), drawn(20, 2, 6)
    at = marginal_rows(torch.linspace(0.01, 0.99, 20, dtype=torch.float64), SCHEDULE)
    torch.testing.assert_close(
        EDMPrediction().target(clean, noise, at), -VPrediction().target(clean, noise, at)
    )


def test_preconditioning_is_the_papers_table() -> None:
    # Karras et al. 2022, table 1, on x / alpha = x_0 + s noise.
    data, times = 0.5, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    at = marginal_rows(times, SCHEDULE)
    x, output, s = drawn(3, 2, 7), drawn(3, 2, 8), at.sigma / at.alpha
    skip, out = data**2 / (s**2 + data**2), s * data / (s**2 + data**2).sqrt()
    scale = 1 / (s**2 + data**2).sqrt()
    prediction = EDMPrediction(data)
    torch.testing.assert_close(prediction.inputs(x, at), scale * x / at.alpha)
    torch.testing.assert_close(prediction.clean(output, x, at), skip * x / at.alpha + out * output)


def test_preconditioned_inputs_and_targets_have_unit_variance() -> None:
    n, data = 100_000, 0.3
    clean, noise = data * drawn(n, 1, 9), drawn(n, 1, 10)
    for time in (0.01, 0.4, 0.95):
        times = torch.full((n,), time, dtype=torch.float64)
        at, prediction = marginal_rows(times, SCHEDULE), EDMPrediction(data)
        inputs = prediction.inputs(diffuse(clean, noise, times, SCHEDULE), at)
        assert inputs.std().item() == pytest.approx(1, abs=0.01)
        assert prediction.target(clean, noise, at).std().item() == pytest.approx(1, abs=0.01)


@predictions
def test_the_best_answer_on_gaussian_data_has_the_closed_form_loss(prediction: Prediction) -> None:
    # x_0 ~ N(m, v): E[x_0 | x_t] = m + a v / D (x - a m) and Var[x_0 | x_t] = v s^2 / D with D = a^2 v + s^2.
    n, time, mean, v = 200_000, 0.4, 0.7, 0.25
    times = torch.full((n,), time, dtype=torch.float64)
    alpha, sigma = (part.item() for part in SCHEDULE.marginal(times[0]))
    total = alpha**2 * v + sigma**2

    def network(inputs: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        at = marginal_rows(t, SCHEDULE)
        x = inputs / prediction.inputs(torch.ones_like(inputs), at)
        clean = mean + alpha * v / total * (x - alpha * mean)
        return prediction.target(clean, noise_of_clean(clean, x, at), at)

    rows = mean + v**0.5 * drawn(n, 1, 11)
    loss = diffusion_loss(network, rows, times, prediction, SCHEDULE, generator=generator(12))
    assert loss.shape == (n,)
    unit = torch.ones(1, 1, dtype=torch.float64)
    at = marginal_rows(times[:1], SCHEDULE)
    per_clean = prediction.clean(unit, unit, at) - prediction.clean(0 * unit, unit, at)
    assert loss.mean().item() == pytest.approx(v * sigma**2 / total / per_clean.item() ** 2, rel=0.02)
    x = diffuse(rows, drawn(n, 1, 13), times, SCHEDULE)
    expected = mean + alpha * v / total * (x - alpha * mean)
    torch.testing.assert_close(denoiser(network, prediction, SCHEDULE)(x, times), expected)


def test_the_loss_averages_columns_and_shows_the_network_its_condition() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        assert condition is not None
        seen.append(condition)
        return torch.zeros_like(x)

    rows, times, condition = torch.zeros(4_000, 4), torch.full((4_000,), 0.5), torch.ones(4_000, 3)
    losses = [
        diffusion_loss(
            network, rows, times, EpsilonPrediction(), SCHEDULE, condition, 0.25, generator=generator(1)
        )
        for _ in range(2)
    ]
    assert torch.equal(*losses)
    assert losses[0].mean().item() == pytest.approx(1, abs=0.05)
    assert losses[0].var().item() == pytest.approx(2 / 4, rel=0.1)
    kept = seen[0][:, 0]
    assert torch.equal(seen[0], kept[:, None].expand(-1, 3))
    assert kept.mean().item() == pytest.approx(0.75, abs=0.03)


def test_uniform_times_take_one_from_each_interval() -> None:
    times = uniform_times(1_000, generator())
    assert times.min() > 0
    assert times.max() <= 1
    intervals = (times.double() * 1_000).ceil().long()
    assert (intervals.bincount(minlength=1_001)[1:] <= 2).all()
    assert times.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert abs(torch.corrcoef(torch.stack([times, torch.arange(1_000.0)]))[0, 1]) < 0.1


def test_log_normal_times_have_the_noise_levels_asked_for() -> None:
    schedule = NoiseSchedule.linear()
    times = log_normal_times(100_000, schedule, -1.2, 1.2, generator())
    log_ratio = -schedule.log_snr(times.double()) / 2
    assert log_ratio.mean().item() == pytest.approx(-1.2, abs=0.02)
    assert log_ratio.std().item() == pytest.approx(1.2, abs=0.02)
    assert times.min() >= 1 / 1000


def test_a_sigma_data_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sigma_data must be positive, found 0\.0"):
        EDMPrediction(0.0)
