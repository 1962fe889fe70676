"""Differences of log densities by denoising errors, against closed forms."""

from __future__ import annotations

import torch
from gaussian_flows import Mixture, gaussian, three_parts
from torch import Tensor

from streamrec.models.flow.evidence import log_evidence


def difference(first: Mixture, second: Mixture, data: Tensor, levels: int, seed: int = 0) -> Tensor:
    """log p_first - log p_second (n,) as estimated."""
    n = len(data)
    groups = torch.arange(n).repeat(2)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([first.velocity(x[:n], t[:n]), second.velocity(x[n:], t[n:])])

    generator = torch.Generator().manual_seed(seed)
    found = log_evidence(velocity, data.repeat(2, 1), groups, levels, generator)
    return found[:n] - found[n:]


def test_gaussians_differ_by_their_log_ratio() -> None:
    first, second = gaussian([1.0, 0.0, 0.5], 0.7), gaussian([0.0, 0.5, 0.5], 1.0)
    data = torch.cat([first.draw(200, 1), second.draw(200, 2)])
    truth = first.log_density(data) - second.log_density(data)
    errors = difference(first, second, data, levels=256) - truth
    assert abs(float(errors.mean())) < 0.05
    assert float(errors.std()) < 0.25 < float(truth.std())


def test_mixtures_differ_by_their_log_ratio() -> None:
    first, second = three_parts(), gaussian([0.5, 0.0], 1.2)
    data = torch.cat([first.draw(200, 1), second.draw(200, 2)])
    truth = first.log_density(data) - second.log_density(data)
    errors = difference(first, second, data, levels=256) - truth
    assert float(errors.abs().median()) < 0.25
    assert torch.corrcoef(torch.stack([truth, truth + errors]))[0, 1] > 0.98


def test_more_levels_are_more_exact() -> None:
    first, second = gaussian([1.0, 0.0], 0.7), gaussian([0.0, 0.5], 1.0)
    data = first.draw(300, 1)
    truth = first.log_density(data) - second.log_density(data)
    few, many = (float((difference(first, second, data, n) - truth).std()) for n in (8, 128))
    assert many < few / 2


def test_equal_conditions_are_equally_likely_to_the_bit_and_no_rows_are_fine() -> None:
    law = three_parts()
    assert torch.equal(difference(law, law, law.draw(20, 0), 16), torch.zeros(20, dtype=torch.float64))
    empty = log_evidence(law.velocity, torch.zeros(0, 2), torch.zeros(0).long(), 4, torch.Generator())
    assert empty.shape == (0,)
