"""Sampled softmax estimates the softmax itself, and only with the right sign."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from streamrec.models.softmax import log_inclusion, sampled_softmax

ITEMS = 40
POPULAR = torch.softmax(torch.linspace(0, 4, ITEMS), 0)
"""Shares of the events: the last item has fifty times those of the first."""


def draw(generator: torch.Generator, events: int, uniform: int) -> torch.Tensor:
    drawn = torch.multinomial(POPULAR, max(events, 1), replacement=True, generator=generator)[:events]
    return torch.cat([drawn, torch.randint(ITEMS, (uniform,), generator=generator)])


def test_all_candidates_certain_is_the_softmax() -> None:
    scores, target = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)), torch.arange(6)
    found = sampled_softmax(scores, target, torch.zeros(9))
    assert torch.allclose(found, cross_entropy(scores, target, reduction="none"))


@pytest.mark.parametrize(("events", "uniform"), [(30, 0), (0, 30), (20, 10)])
def test_probability_of_being_drawn_is_that_of_many_draws(events: int, uniform: int) -> None:
    generator = torch.Generator().manual_seed(1)
    found = torch.zeros(ITEMS)
    for _ in range(4_000):
        found[torch.unique(draw(generator, events, uniform))] += 1 / 4_000
    assert torch.allclose(log_inclusion(POPULAR.log(), events, uniform, ITEMS).exp(), found, atol=0.04)


def test_estimate_of_the_sum_is_right_in_the_mean() -> None:
    """exp(loss + own score) is the sum over all items, in expectation."""
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(ITEMS, generator=generator)
    target, sums = 7, []
    for _ in range(3_000):
        candidates = torch.unique(torch.cat([draw(generator, 8, 8), torch.tensor([target])]))
        column = int((candidates == target).nonzero())
        log_q = log_inclusion(POPULAR.log()[candidates], 8, 8, ITEMS)
        loss = sampled_softmax(scores[candidates][None], torch.tensor([column]), log_q)
        sums.append((loss + scores[target]).exp())
    assert float(torch.stack(sums).mean()) == pytest.approx(float(scores.exp().sum()), rel=0.03)


def test_excluded_candidates_do_not_count() -> None:
    scores, target = torch.randn(4, 7, generator=torch.Generator().manual_seed(3)), torch.tensor([0, 1, 2, 3])
    excluded = torch.zeros(4, 7, dtype=torch.bool)
    excluded[:, 5:] = True
    found = sampled_softmax(scores, target, torch.zeros(7), excluded)
    assert torch.allclose(found, cross_entropy(scores[:, :5], target, reduction="none"))


def fitted(sign: float) -> float:
    """KL divergence (nats) of the shares that free scores learn, with log q taken `sign` times."""
    generator = torch.Generator().manual_seed(4)
    scores = torch.zeros(ITEMS, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.05)
    for step in range(800):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 800)
        items = torch.multinomial(POPULAR, 16, replacement=True, generator=generator)
        candidates, columns = torch.unique(items, return_inverse=True)
        log_q = sign * log_inclusion(POPULAR.log()[candidates], 16, 0, ITEMS)
        loss = sampled_softmax(scores[candidates].expand(16, -1), columns, log_q).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = torch.log_softmax(scores.detach(), 0)
    return float((POPULAR * (POPULAR.log() - learned)).sum())


def test_the_right_sign_learns_the_shares_no_correction_less_the_wrong_sign_least() -> None:
    right, none, wrong = (fitted(sign) for sign in (1.0, 0.0, -1.0))
    assert right < 0.05
    assert right < none / 3
    assert none < wrong
