"""One small table with everything a row can have, and settings that fit a family to it in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamrec.augmenters.settings import AugmentersConfig, Family, FitConfig, RefineConfig
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import DiffusionConfig, FlowConfig
from streamrec.schema import FeatureSchema, MultiLabelColumn

FAMILIES: tuple[Family, ...] = ("vae_prior", "vae", "latent_diffusion", "latent_flow", "diffusion", "flow")
SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("kind",),
    multi_label=(MultiLabelColumn(name="tags"),),
    numeric=("x", "y", "z"),
)
QUICK = AugmentersConfig(
    flow=FlowConfig(width=48, blocks=2, evaluations=8),
    diffusion=DiffusionConfig(width=48, blocks=2, evaluations=8),
    fit=FitConfig(steps=600, batch_size=256),
    refine=RefineConfig(candidates=6.0),
)


@dataclass(frozen=True)
class Items:
    """Rows, and what was fitted on them."""

    table: pa.Table
    codec: FeatureCodec
    rows: EncodedRows
    model: ItemVAE


def make_table(n: int, seed: int) -> pa.Table:
    """Kind a has small x, b large; y is x + 1 where it is not exactly 0; a third of z is missing for b."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b"], n, p=[0.75, 0.25])
    x = np.where(kind == "a", rng.normal(0, 1, n), rng.normal(6, 1, n))
    z = np.round(x * 3 + rng.normal(0, 1, n)).astype(np.int64)
    new = rng.random(n) < 0.5
    tags = [["old"] * int(k == "a") + ["new"] * int(t) for k, t in zip(kind, new, strict=True)]
    return pa.table(
        {
            "id": [f"item-{seed}-{i}" for i in range(n)],
            "kind": kind,
            "tags": pa.array(tags, pa.list_(pa.string())),
            "x": x,
            "y": np.where(rng.random(n) < 0.4, 0.0, x + 1),
            "z": pa.array(z, mask=(kind == "b") & (rng.random(n) < 0.33)),
        }
    )
