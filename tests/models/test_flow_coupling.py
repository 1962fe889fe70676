"""Minibatch optimal transport against brute force, sorting, and the law that sampling starts from."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from gaussian_flows import normal
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamrec.models.flow.coupling import BLOCK, couple


def cost(noise: Tensor, data: Tensor) -> float:
    return float((noise - data).square().sum())


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 6), d=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_no_other_pairing_is_cheaper(n: int, d: int, seed: int) -> None:
    noise, data = normal(n, d, seed), 3 * normal(n, d, seed + 1) + 2
    least = min(cost(noise[list(order)], data) for order in itertools.permutations(range(n)))
    assert cost(couple(noise, data), data) == pytest.approx(least)


def test_on_a_line_the_pairing_keeps_the_order() -> None:
    noise, data = normal(BLOCK, 1), torch.exp(normal(BLOCK, 1, seed=1))
    coupled = couple(noise, data)
    assert torch.equal(coupled[data[:, 0].argsort()], noise.sort(0).values)


def test_every_noise_is_used_once_over_several_blocks() -> None:
    n = 2 * BLOCK + 17
    noise, data = normal(n, 3), normal(n, 3, seed=1)
    coupled = couple(noise, data)
    assert torch.equal(coupled[coupled[:, 0].argsort()], noise[noise[:, 0].argsort()])
    assert cost(coupled, data) < 0.6 * cost(noise, data)


def test_each_condition_keeps_standard_normal_noise() -> None:
    n = 20 * BLOCK
    noise = normal(n, 1)
    second = torch.arange(n) % 2 == 1
    condition = torch.stack([~second, second], 1).float()
    data = torch.where(second, 3.0, -3.0)[:, None].double() + 0.1 * normal(n, 1, seed=1)
    kept = couple(noise, data, condition)
    assert kept[second].mean().item() == pytest.approx(0, abs=4 / math.sqrt(n / 2))
    assert torch.equal(kept[second].sort(0).values, noise[second].sort(0).values)
    assert cost(kept, data) < cost(noise, data)
    # Without the condition the upper half of the noise goes to the upper class: mean sqrt(2 / pi).
    mixed = couple(noise, data)
    assert mixed[second].mean().item() == pytest.approx(math.sqrt(2 / math.pi), abs=0.05)
