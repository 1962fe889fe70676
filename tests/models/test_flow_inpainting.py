"""Columns drawn given others, against conditional laws in closed form."""

from __future__ import annotations

import torch
from gaussian_flows import normal, three_parts
from torch import Tensor

from streamrec.models.flow.inpainting import inpaint
from streamrec.models.flow.solvers import Velocity, uniform_grid

MEAN = torch.tensor([0.5, -1.0, 0.0, 0.3], dtype=torch.float64)
_FACTOR = torch.tensor(
    [[1.0, 0.2, 0.0, 0.0], [0.8, 0.5, 0.0, 0.0], [0.3, -0.6, 0.7, 0.0], [0.9, 0.3, 0.2, 0.2]],
    dtype=torch.float64,
)
COVARIANCE = _FACTOR @ _FACTOR.T


VARIANCES, AXES = torch.linalg.eigh(COVARIANCE)


def gaussian_velocity(x: Tensor, t: Tensor) -> Tensor:
    """E[data - noise | x_t] for data of N(MEAN, COVARIANCE)."""
    time = t[:, None]
    slope = (time * VARIANCES - (1 - time)) / ((1 - time) ** 2 + time**2 * VARIANCES)
    return MEAN + ((x - time * MEAN) @ AXES * slope) @ AXES.T


def drawn(
    data: Tensor, known: Tensor, velocity: Velocity = gaussian_velocity, seed: int = 0, **settings: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return inpaint(velocity, data, known, uniform_grid(20), generator, **settings)


def conditional(data: Tensor, known: list[int], unknown: list[int]) -> tuple[Tensor, Tensor]:
    """Means (n, u) and standard deviations (u,) of the unknown columns given the known ones."""
    gain = COVARIANCE[unknown][:, known] @ torch.linalg.inv(COVARIANCE[known][:, known])
    means = MEAN[unknown] + (data[:, known] - MEAN[known]) @ gain.T
    rest = COVARIANCE[unknown][:, unknown] - gain @ COVARIANCE[known][:, unknown]
    return means, rest.diagonal().sqrt()


def rows(n: int) -> Tensor:
    return MEAN + normal(n, 4, seed=3) @ _FACTOR.T


def standardised(data: Tensor, known: list[int], unknown: list[int], **settings: int) -> Tensor:
    """Draws (n, u) of the unknown columns less their conditional means, over their deviations."""
    flags = torch.zeros(4, dtype=torch.bool)
    flags[known] = True
    means, deviations = conditional(data, known, unknown)
    found = drawn(data, flags.expand(len(data), -1), **settings)
    return (found[:, unknown] - means) / deviations


def test_draws_follow_the_conditional_law_of_a_gaussian() -> None:
    data = rows(4_000)
    for known, unknown in (([0, 1], [2, 3]), ([1], [0, 2, 3])):
        errors = standardised(data, known, unknown)
        assert errors.mean(0).abs().max() < 0.08
        torch.testing.assert_close(errors.std(0), torch.ones(len(unknown)).double(), rtol=0.06, atol=0)
        # A wrong pull of the known columns would leave errors that these foretell.
        together = torch.corrcoef(torch.cat([errors, data[:, known]], 1).T)[: len(unknown), len(unknown) :]
        assert together.abs().max() < 0.08
        inside = (errors.abs() < 1.645).double().mean()
        assert abs(float(inside) - 0.9) < 0.02


def test_projections_do_what_plain_resampling_hardly_does() -> None:
    data = rows(2_000)

    def bias(**settings: int) -> float:
        means, _ = conditional(data, [0, 1], [2, 3])
        errors = standardised(data, [0, 1], [2, 3], **settings)
        return float((errors * (means - MEAN[2:])).mean(0).abs().max())

    plain, more = bias(resamplings=1, projections=0), bias(resamplings=10, projections=0)
    assert more < 0.5 * plain
    assert bias(resamplings=3, projections=2) < 0.5 * more


def test_every_mode_that_the_known_column_allows_gets_its_share() -> None:
    law = three_parts()
    data = torch.tensor([[1.2, 0.0]], dtype=torch.float64).expand(3_000, -1)
    known = torch.tensor([True, False]).expand(3_000, -1)
    found = drawn(data, known, law.velocity)[:, 1]
    first = torch.distributions.Normal(law.means[:, 0], law.deviations).log_prob(data[0, :1])
    shares = (law.weights.log() + first).softmax(0)
    assert abs(float((found > 0.4).double().mean() - shares[1])) < 0.08
    assert abs(float(found[found > 0.4].mean() - 2.0)) < 0.1
    assert abs(float(found[found < 0.4].std() - 0.5)) < 0.08


def test_known_cells_are_kept_to_the_bit_whatever_each_row_knows() -> None:
    data = rows(60)
    known = torch.rand(60, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    found = drawn(data.masked_fill(~known, torch.nan), known)
    assert torch.equal(found[known], data[known])
    assert torch.isfinite(found).all()
    assert (found[~known] != data[~known]).all()


def test_a_row_that_knows_nothing_is_a_draw_of_the_flow() -> None:
    found = drawn(rows(3_000), torch.zeros(3_000, 4, dtype=torch.bool))
    torch.testing.assert_close(found.mean(0), MEAN, rtol=0, atol=0.08)
    torch.testing.assert_close(found.T.cov(), COVARIANCE, rtol=0.1, atol=0.05)


def test_the_seed_decides_the_draws() -> None:
    data, known = rows(5), torch.tensor([True, True, False, False]).expand(5, -1)
    assert torch.equal(drawn(data, known, seed=1), drawn(data, known, seed=1))
    assert not torch.equal(drawn(data, known, seed=1), drawn(data, known, seed=2))


def test_no_rows_and_nothing_unknown_are_fine() -> None:
    assert drawn(rows(0), torch.zeros(0, 4, dtype=torch.bool)).shape == (0, 4)
    data = rows(2)
    assert torch.equal(drawn(data, torch.ones(2, 4, dtype=torch.bool)), data)
