"""Condition dropout and classifier-free guidance against their equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from streamrec.models.guidance import drop_condition, guide

X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
T = torch.linspace(0.1, 0.9, 5)
CONDITION = torch.eye(4)[[0, 1, 2, 3, 0]]


def network(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
    own = x.sin() * t[:, None]
    return own if condition is None else own + condition @ torch.arange(12.0).reshape(4, 3) * x


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.5, 3.0])
def test_guidance_is_the_papers_combination(weight: float) -> None:
    conditional, unconditional = network(X, T, CONDITION), network(X, T, torch.zeros(5, 4))
    found = guide(network, weight)(X, T, CONDITION)
    torch.testing.assert_close(found, (1 + weight) * conditional - weight * unconditional)


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_rows_without_a_condition_are_not_guided(weight: float) -> None:
    torch.testing.assert_close(guide(network, weight)(X, T, torch.zeros(5, 4)), network(X, T, None))
    torch.testing.assert_close(guide(network, weight)(X, T, None), network(X, T, None))


def test_guidance_moves_a_gaussian_as_the_tilted_density_says() -> None:
    # p(x | c) = N(1, v), p(x) = N(0, v): p(x | c)^(1 + w) / p(x)^w is N(1 + w, v); so are the scores.
    variance = 0.7

    def score(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        assert condition is not None
        return (condition - x) / variance

    x, t = torch.linspace(-3, 3, 7)[:, None], torch.full((7,), 0.5)
    found = guide(score, 2.5)(x, t, torch.ones(7, 1))
    torch.testing.assert_close(found, (3.5 - x) / variance)


def test_dropout_zeroes_whole_rows_in_the_share_asked_for() -> None:
    condition = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(1)) + 1
    dropped = drop_condition(condition, 0.1, torch.Generator().manual_seed(2))
    gone = (dropped == 0).all(1)
    assert (dropped[~gone] == condition[~gone]).all()
    assert gone.double().mean().item() == pytest.approx(0.1, abs=0.01)


def test_blocks_drop_independently() -> None:
    condition = torch.ones(20_000, 5)
    dropped = drop_condition(condition, 0.3, torch.Generator().manual_seed(3), widths=(2, 3))
    first, second = dropped[:, :2], dropped[:, 2:]
    assert (first == first[:, :1]).all()
    assert (second == second[:, :1]).all()
    both = (dropped == 0).all(1).double().mean().item()
    assert both == pytest.approx(0.09, abs=0.01)


def test_the_same_seed_drops_the_same_rows() -> None:
    first, second = (drop_condition(CONDITION, 0.5, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(drop_condition(CONDITION, 0.0), CONDITION)
    assert drop_condition(CONDITION, 1.0).abs().sum() == 0


def test_impossible_dropouts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"share from 0 to 1, found 1\.5"):
        drop_condition(CONDITION, 1.5)
    with pytest.raises(ValueError, match=r"\[2, 3\] must add up to its width, found 4"):
        drop_condition(CONDITION, 0.1, widths=(2, 3))
