"""Small encoded tables and models to train in a moment; torch and the standard library only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.training.objective import ELBO

LAYOUT = FeatureLayout(
    categorical=(("colour", 5),),
    multi_label=(("tags", 3),),
    numeric=(("x", 2), ("y", 3), ("z", 2)),
    nullable=("y",),
)


def items(n: int, seed: int = 0) -> ItemBatch:
    """Items whose numbers and tags follow their colour."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.randint(3, (n, 1), generator=generator)
    numbers = torch.randn(n, 3, generator=generator) * 0.5 + colour - 1
    states = torch.zeros(n, 3, dtype=torch.int64)
    states[:, 1] = torch.randint(3, (n,), generator=generator)
    labels = (torch.rand(n, 3, generator=generator) < (colour + 1) / 5).float()
    return ItemBatch(colour + 2, labels, numbers.masked_fill(states == 1, 0), states)


def numbers_only(values: Tensor) -> ItemBatch:
    """Items with these numbers (n, N) and nothing else."""
    n = len(values)
    return ItemBatch(
        torch.zeros(n, 0, dtype=torch.int64),
        torch.zeros(n, 0),
        values.float(),
        torch.zeros_like(values).long(),
    )


def elbo(seed: int = 0, layout: FeatureLayout = LAYOUT, **settings: Any) -> ELBO:
    """An untrained small model and its objective."""
    torch.manual_seed(seed)
    small: dict[str, Any] = {"latent_dim": 3, "hidden": (12,), **settings}
    return ELBO(ItemVAE(layout, ItemVAEConfig(**small)))


def weights(objective: Any) -> dict[str, Tensor]:
    """A copy of the objective's weights."""
    return {name: tensor.detach().clone() for name, tensor in objective.module.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
