"""The neighbour term against its definition, and the start at the principal components."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.neighbours import neighbour_cross_entropy
from streamrec.models.settings import ItemVAEConfig

SHARPNESS = torch.tensor(1.3)


def by_definition(latents: np.ndarray, features: np.ndarray, log_sharpness: float) -> float:
    unit = latents / np.linalg.norm(latents, axis=1, keepdims=True)
    total = 0.0
    for i in range(len(latents)):
        others = [j for j in range(len(latents)) if j != i]
        near = np.array([((features[i] - features[j]) ** 2).sum() for j in others])
        p = np.exp(-12 * near / (np.sort(near)[min(1, len(near) - 1)] + 9))
        q = np.exp(-math.exp(log_sharpness) * np.array([((unit[i] - unit[j]) ** 2).sum() for j in others]))
        total -= (p / p.sum() * np.log(q / q.sum())).sum()
    return total / len(latents)


@pytest.mark.parametrize("n", [2, 3, 20])
def test_the_term_is_the_cross_entropy_of_the_neighbour_distributions(n: int) -> None:
    rng = np.random.default_rng(n)
    latents, features = rng.standard_normal((n, 3)), rng.standard_normal((n, 5))
    found = neighbour_cross_entropy(torch.tensor(latents), torch.tensor(features), SHARPNESS)
    assert found.item() == pytest.approx(by_definition(latents, features, 1.3), rel=1e-5)


def test_only_the_directions_of_the_latents_count_and_only_they_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(20, 3, generator=generator).requires_grad_()
    features = torch.randn(20, 5, generator=generator).requires_grad_()
    first = neighbour_cross_entropy(latents, features, SHARPNESS)
    lengths = torch.rand(20, 1, generator=generator) + 0.1
    torch.testing.assert_close(neighbour_cross_entropy(latents * lengths, features, SHARPNESS), first)
    first.backward()
    assert features.grad is None
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0


def test_equal_items_and_zero_latents_give_finite_gradients() -> None:
    latents = torch.zeros(6, 3, requires_grad=True)
    loss = neighbour_cross_entropy(latents, torch.ones(6, 4), SHARPNESS)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5))
    assert latents.grad is not None
    assert latents.grad.isfinite().all()


def numbers_only(values: Tensor) -> tuple[ItemVAE, ItemBatch]:
    n, columns = values.shape
    layout = FeatureLayout(numeric=tuple((f"x{i}", 2) for i in range(columns)))
    torch.manual_seed(0)
    empty = torch.zeros(n, 0)
    model = ItemVAE(layout, ItemVAEConfig(latent_dim=3, hidden=(8,)))
    return model, ItemBatch(empty.long(), empty, values, torch.zeros(n, columns, dtype=torch.int64))


def test_the_linear_path_starts_at_the_principal_components() -> None:
    values = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(0))
    values = values * torch.tensor([3.0, 0.1, 2.0, 1.0, 0.2, 0.3]) + 5
    model, items = numbers_only(values)
    prepared = model.prepare(items)
    model.initialise(prepared)
    with torch.no_grad():
        found = model.linear(prepared.inputs)
    assert found.mean(0).abs().max() < 1e-3
    covariance = torch.cov(found.T)
    # Columns 0, 2 and 3 with variances 9, 4 and 1, divided by their average, weakest first.
    expected = torch.diag(torch.tensor([1.0, 4.0, 9.0]) / (14 / 3))
    torch.testing.assert_close(covariance, expected, atol=0.05, rtol=0)


def test_starting_from_equal_items_leaves_embeddings_of_ordinary_size() -> None:
    model, items = numbers_only(torch.full((50, 4), 0.3))
    model.initialise(model.prepare(items))
    other = numbers_only(torch.full((50, 4), 0.4))[1]
    assert model.embed(items).abs().max() < 10
    assert model.embed(other).abs().max() < 10


def test_autocast_does_not_change_it() -> None:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(20, 4, generator=generator)
    features = torch.randn(20, 6, generator=generator)
    exact = neighbour_cross_entropy(latents, features, torch.tensor(2.0))
    with torch.autocast("cpu", torch.bfloat16):
        cast = neighbour_cross_entropy(latents, features, torch.tensor(2.0))
    torch.testing.assert_close(cast, exact, rtol=0, atol=0)
