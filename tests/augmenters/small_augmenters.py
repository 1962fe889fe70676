"""Small tables of known laws, and augmenters and encoders fitted on them in seconds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import torch

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.settings import AugmentersConfig, Family
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema
from streamrec.training.loop import fit
from streamrec.training.objective import ELBO
from streamrec.training.settings import TrainConfig

SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("kind", "size"),
    multi_label=("tags",),
    numeric=("x", "y", "clicks", "rating"),
    display=("title",),
)
KINDS = ("film", "series", "short")
CENTRES = np.array([-2.0, 0.0, 2.0])
SLOPE, NOISE = 0.9, 0.6
"""y = SLOPE * x + NOISE * standard normal."""


def item_table(rows: int, seed: int = 0) -> pa.Table:
    """Items: `x` follows `kind`, `y` follows `x`, `clicks` are 0 for shorts, `rating` is often missing."""
    draw = np.random.default_rng(seed)
    kind = draw.integers(3, size=rows)
    size = np.where(draw.random(rows) < 0.9, kind, draw.integers(3, size=rows))
    x = CENTRES[kind] + draw.standard_normal(rows)
    y = SLOPE * x + NOISE * draw.standard_normal(rows)
    clicks = np.where(kind == 2, 0, draw.poisson(6, rows))
    tags = [
        [tag for tag, chance in (("new", 0.3), ("hot", (k + 1) / 4)) if draw.random() < chance] for k in kind
    ]
    return pa.table(
        {
            "id": pa.array([f"item-{number}" for number in range(rows)]),
            "kind": pa.array([KINDS[k] for k in kind]),
            "size": pa.array([("long", "middle", "brief")[s] for s in size], mask=draw.random(rows) < 0.05),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "x": pa.array(x),
            "y": pa.array(y),
            "clicks": pa.array(clicks),
            "rating": pa.array(np.round(3 + 0.5 * y), mask=draw.random(rows) < 0.2),
            "title": pa.array([f"Title {number}" for number in range(rows)]),
        }
    )


@cache
def encoder() -> ItemEncoder:
    """A codec and an ItemVAE trained on 1,500 items."""
    codec = FeatureCodec.fit(item_table(1_500), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    model = ItemVAE(codec.layout, ItemVAEConfig(latent_dim=3, hidden=(32,)))
    items = ItemBatch.from_arrays(codec.encode(item_table(1_500)))
    model.initialise(model.prepare(items))
    fit(ELBO(model), items[:1_400], items[1_400:], TrainConfig(epochs=15, batch_size=128), 0)
    return ItemEncoder(codec, model)


@cache
def augmenter(family: Family = "flow", steps: int = 800) -> TableAugmenter:
    """An augmenter fitted on the encoder's items, not refined."""
    settings = {
        "fit": {"steps": steps, "batch_size": 256, "learning_rate": 5e-3, "ema_decay": 0.98},
        "flow": {"width": 64, "blocks": 2},
        "refine": {"cells": False, "ratio_rounds": 0},
    }
    config, codec = AugmentersConfig.model_validate(settings), encoder().codec
    return fit_augmenter(family, codec.encode(item_table(1_500)), codec, config, 0, encoder().model)


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The table with other values in a column."""
    return table.set_column(table.schema.get_field_index(name), name, values)
