"""Small catalogues and encoders, not trained: what is decoded does not have to be good to be right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.catalog.table import Catalog
from streamrec.config import CodecConfig
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("kind", "year"),
    multi_label=("tags",),
    numeric=("price", "length"),
    display=("title",),
)


@dataclass(frozen=True)
class Encoder:
    """What the evaluation needs of an encoder."""

    codec: FeatureCodec
    model: ItemVAE


def item_table(rows: int, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    tags = [list(draw.choice(["a", "b", "c", "d"], size=count)) for count in draw.integers(0, 4, rows)]
    length = draw.integers(1, 300, rows)
    length[draw.random(rows) < 0.3] = 0
    return pa.table(
        {
            "id": pa.array([f"item-{number}" for number in range(rows)]),
            "kind": pa.array(draw.choice(["film", "series", "short"], rows), mask=draw.random(rows) < 0.1),
            "year": pa.array(draw.integers(1990, 2020, rows)),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "price": pa.array(draw.lognormal(size=rows), mask=draw.random(rows) < 0.2),
            "length": pa.array(length),
            "title": pa.array([f"Title {number}" for number in range(rows)]),
        }
    )


def encoder_of(table: pa.Table, schema: FeatureSchema = SCHEMA, **settings: object) -> Encoder:
    """A codec fitted on the table and a model with weights wide enough to decode to many different rows."""
    codec = FeatureCodec.fit(table, schema, CodecConfig())
    torch.manual_seed(0)
    config = ItemVAEConfig(**{"latent_dim": 4, "hidden": (16,), **settings})  # type: ignore[arg-type]
    model = ItemVAE(codec.layout, config)
    with torch.no_grad():
        model.heads.weight.mul_(8)
    return Encoder(codec, model.eval())


def catalog_of(table: pa.Table, folder: Path, schema: FeatureSchema = SCHEMA) -> Catalog:
    pq.write_table(table.select(schema.columns), folder / "catalog.parquet")
    return Catalog(folder / "catalog.parquet", schema)


def take(rows: EncodedRows, *positions: int) -> EncodedRows:
    return rows[np.array(positions)]
