"""Every family, fitted once."""

from __future__ import annotations

import pytest
import torch
from kinds import FAMILIES, QUICK, SCHEMA, Items, make_table

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.training.loop import fit
from streamrec.training.objective import ELBO
from streamrec.training.settings import TrainConfig


@pytest.fixture(scope="session")
def items() -> Items:
    """1,500 rows, their codec and a small ItemVAE."""
    table = make_table(1_500, 0)
    codec = FeatureCodec.fit(table, SCHEMA, CodecConfig())
    rows = codec.encode(table)
    torch.manual_seed(0)
    model = ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(32,)))
    batch = ItemBatch.from_arrays(rows)
    model.initialise(model.prepare(batch))
    fit(ELBO(model), batch, batch[:200], TrainConfig(epochs=20, batch_size=256), seed=0)
    return Items(table, codec, rows, model)


@pytest.fixture(scope="session")
def augmenters(items: Items) -> dict[str, TableAugmenter]:
    """Every family by its name."""
    return {
        family: fit_augmenter(family, items.rows, items.codec, QUICK, seed=0, model=items.model)
        for family in FAMILIES
    }
