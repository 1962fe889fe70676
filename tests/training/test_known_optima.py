"""Trainings whose best result is known beforehand."""

from __future__ import annotations

import math

import pytest
import torch
from small_items import elbo, numbers_only

from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.training.loop import fit
from streamrec.training.settings import TrainConfig

CONFIG = TrainConfig(
    epochs=60, batch_size=64, learning_rate=0.01, warmup=0.05, device="cpu", patience=None, clip_norm=None
)


def test_a_constant_table_costs_only_its_gaussians_constant() -> None:
    layout = FeatureLayout(categorical=(("c", 5),), multi_label=(("t", 2),), numeric=(("x", 2), ("y", 2)))
    n = 256
    same = ItemBatch(
        torch.full((n, 1), 3),
        torch.tensor([[0.0, 1.0]]).repeat(n, 1),
        torch.tensor([[0.7, -1.2]]).repeat(n, 1),
        torch.zeros(n, 2, dtype=torch.int64),
    )
    history = fit(elbo(layout=layout, neighbour_weight=0.0, beta=1.0), same, same[:32], CONFIG, seed=0)
    assert -history.best["valid_elbo"] == pytest.approx(math.log(2 * math.pi), abs=0.05)


def test_a_learned_scale_finds_the_deviation_of_the_noise() -> None:
    noise = torch.randn(2_000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 1.0, 3.0])
    objective = elbo(
        layout=FeatureLayout(numeric=(("a", 2), ("b", 2), ("c", 2))),
        scale="column",
        neighbour_weight=0.0,
        beta=1.0,
        latent_dim=1,
    )
    history = fit(objective, numbers_only(noise[:1800]), numbers_only(noise[1800:]), CONFIG, seed=0)
    # The bound cannot beat the entropy of independent Gaussians, and comes near it.
    entropy = sum(0.5 * math.log(2 * math.pi * math.e * s**2) for s in noise[1800:].std(0).tolist())
    assert entropy - 0.02 < -history.best["valid_elbo"] < entropy + 0.3


def test_fair_coins_cost_one_bit_each() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 1_000
    coins = ItemBatch(
        torch.zeros(n, 0, dtype=torch.int64),
        torch.randint(2, (n, 4), generator=generator).float(),
        torch.zeros(n, 0),
        torch.zeros(n, 0, dtype=torch.int64),
    )
    layout = FeatureLayout(multi_label=(("t", 4),))
    history = fit(
        elbo(layout=layout, neighbour_weight=0.0, beta=1.0), coins[:800], coins[800:], CONFIG, seed=0
    )
    assert -history.best["valid_elbo"] == pytest.approx(4 * math.log(2), abs=0.1)


def test_a_linear_table_is_kept_as_well_as_by_pca() -> None:
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(1_500, 2, generator=generator)
    table = factors @ torch.randn(2, 8, generator=generator)
    table = table + 0.3 * torch.randn(table.shape, generator=generator)
    table = (table - table.mean(0)) / table.std(0)
    train, valid = table[:1200], table[1200:]

    def kept(reconstructed: torch.Tensor) -> float:
        return 1 - float(((valid - reconstructed) ** 2).sum() / (valid**2).sum())

    components = torch.linalg.svd(train, full_matrices=False)[2][:2]
    pca = kept(valid @ components.T @ components)
    layout = FeatureLayout(numeric=tuple((f"x{i}", 2) for i in range(8)))
    objective = elbo(layout=layout, latent_dim=2, hidden=(64,), neighbour_weight=0.0, beta=0.01)
    fit(objective, numbers_only(train), numbers_only(valid), CONFIG, seed=0)
    model = objective.module
    with torch.no_grad():
        found = kept(model.decode(model.embed(numbers_only(valid))).numbers)
    assert 0.7 < pca < 1
    assert pca - 0.05 < found < pca + 0.02
