"""The table that augmenters are measured on: News, its split, and an ItemVAE of the training rows."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import torch

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.split import ItemSplit
from streamrec.config import RunConfig
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema
from streamrec.training.loop import fit
from streamrec.training.objective import ELBO

NEWS = Path(__file__).parents[2] / "shared" / "data" / "news" / "news.parquet"
CATEGORIES = ("channel", "weekday")
LEFT_OUT = ("item_id", "published")


def news() -> tuple[ItemSplit, FeatureSchema]:
    """8,886 training and 988 held-out rows, shuffled by pandas with seed 0, and the roles of 47 columns."""
    frame = pd.read_parquet(NEWS)
    numbers = tuple(name for name in frame.columns if name not in (*CATEGORIES, *LEFT_OUT))
    shuffled = frame.sample(frac=1, random_state=0)
    cut = int(0.9 * len(shuffled))
    train, held_out = (
        pa.Table.from_pandas(part, preserve_index=False) for part in (shuffled[:cut], shuffled[cut:])
    )
    schema = FeatureSchema(item_id="item_id", categorical=CATEGORIES, numeric=numbers)
    return ItemSplit(train, held_out), schema


def fit_encoder(split: ItemSplit, schema: FeatureSchema, seed: int) -> tuple[ItemEncoder, float]:
    """Codec and ItemVAE at their defaults, and the seconds that the training took."""
    config = RunConfig.model_validate({"generate": {}, "seed": seed})
    started = time.perf_counter()
    codec = FeatureCodec.fit(split.train, schema, config.codec)
    torch.manual_seed(seed)
    model = ItemVAE(codec.layout, config.model)
    train, held_out = (ItemBatch.from_arrays(codec.encode(part)) for part in split)
    model.initialise(model.prepare(train))
    fit(ELBO(model), train, held_out, config.train, seed)
    return ItemEncoder(codec, model), time.perf_counter() - started
