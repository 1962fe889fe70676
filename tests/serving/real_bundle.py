"""A small bundle whose models are real: an item encoder, and towers that read users' features.

python tests/serving/real_bundle.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "retrieval"))

from small_bundles import SCHEMA, make_catalog
from small_towers import MODEL, USERS, make_seen

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, PublishConfig
from streamrec.evaluation.latents import feature_matrix
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig, TwoTowerConfig
from streamrec.recommenders.fit_towers import train_towers
from streamrec.recommenders.settings import TowersConfig, TowersTrainConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import item_content
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.write_towers import write_towers
from streamrec.schema import FeatureSchema

USER_SCHEMA = FeatureSchema(item_id="user_id", categorical=("country",), numeric=("age",))


def publish_real(folder: Path) -> Bundle:
    """200 items and 60 users under `folder`/published; the models are hardly trained."""
    catalog = make_catalog(folder / "catalog.parquet")
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(16,))))
    items = publish(folder / "published", catalog, encoder, PublishConfig(), seed=0)
    content, seen = item_content(items), make_seen(items)
    ages = np.random.default_rng(4).normal(40, 10, size=USERS)
    people = pa.table({"country": ["de", "fr", "it"] * (USERS // 3), "age": ages})
    user_codec = FeatureCodec.fit(people, USER_SCHEMA, CodecConfig())
    features = feature_matrix(user_codec.encode(people), user_codec.layout)
    config = TowersConfig(
        network=TwoTowerConfig(dimension=8, hidden=16, negatives=32),
        train=TowersTrainConfig(epochs=1, batch_size=128),
    )
    towers, _ = train_towers(seen, None, content, features, config, None, 0)
    write_towers(
        folder / "towers",
        towers,
        content,
        seen,
        items.manifest.encoder_fingerprint,
        PublishConfig(),
        0,
        item_column="id",
        user_features=features,
        user_codec=user_codec,
    )
    return publish_towers(folder / "published", items, folder / "towers", model=MODEL)


if __name__ == "__main__":
    publish_real(Path(sys.argv[1]))
