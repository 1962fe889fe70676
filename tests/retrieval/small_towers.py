"""Towers without training, and the users of the small catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from small_bundles import publish_small

from streamrec.config import PublishConfig
from streamrec.interactions.content import ItemContent
from streamrec.interactions.table import Interactions
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import stream_vectors
from streamrec.retrieval.manifest import EMBEDDINGS, ModelSource, TowerFacts
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.write_towers import write_towers

USERS = 60
MODEL = ModelSource(name="streamrec-two-tower", version="4", run_id="abc")


class PlainTowers:
    """An item's vector is a fixed linear map of its content; a user's is the mean of the last five."""

    def __init__(self, latent: int = 4, features: int = 3, dimension: int = 6) -> None:
        self.dimension = dimension
        self.maps = np.random.default_rng(9).normal(size=(latent + features, dimension))

    def item_vectors(self, latents: np.ndarray, features: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        assert len(ids) == len(latents)
        return (np.concatenate([latents, features], axis=1) @ self.maps).astype(np.float32)

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        assert all(len(set(own)) == len(own) for own in histories)
        items = self.item_vectors(latents, features, ids)
        vectors = [
            items[own[-5:]].mean(axis=0) if len(own) else np.zeros(self.dimension) for own in histories
        ]
        return np.array(vectors, dtype=np.float32)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "towers.json").write_text(json.dumps(self.maps.tolist()))

    @classmethod
    def load(cls, folder: Path) -> PlainTowers:
        towers = cls()
        towers.maps = np.array(json.loads((folder / "towers.json").read_text()))
        towers.dimension = towers.maps.shape[1]
        return towers


def make_content(bundle: Bundle) -> ItemContent:
    latents = np.concatenate(list(stream_vectors(bundle.path / EMBEDDINGS)))
    features = np.random.default_rng(1).integers(0, 2, size=(len(latents), 3)).astype(np.float32)
    return ItemContent(latents, features)


def make_seen(bundle: Bundle, users: int = USERS, events: int = 900) -> Interactions:
    """Events of users of whom the first has none and the second has seen nearly everything."""
    random = np.random.default_rng(2)
    items = bundle.manifest.rows
    who = np.concatenate([random.integers(2, users, size=events), np.ones(items - 3, dtype=np.int64)])
    what = np.concatenate([random.integers(0, items, size=events), np.arange(items - 3)])
    order = random.permutation(len(who))
    return Interactions(
        who[order],
        what[order],
        np.arange(len(who)),
        np.ones(len(who), dtype=np.float32),
        pa.array([f"user-{i:03d}" for i in range(users)]),
        bundle.searcher.items.ids.column.combine_chunks(),
    )


def make_towers(folder: Path, bundle: Bundle, **changes: Any) -> TowerFacts:
    """Towers of the bundle in `folder`; `changes` are arguments of `write_towers` or of `PublishConfig`."""
    config = {name: changes.pop(name) for name in [*changes] if name in PublishConfig.model_fields}
    given = {
        "towers": PlainTowers(),
        "content": make_content(bundle),
        "seen": make_seen(bundle),
        "encoder_fingerprint": bundle.manifest.encoder_fingerprint,
        "config": PublishConfig(**config),
        "seed": 3,
        "item_column": "id",
    }
    return write_towers(folder, **(given | changes))


def publish_with_towers(folder: Path, catalog: Any, **changes: Any) -> Bundle:
    """A bundle of items under `folder`/published, then once more with towers."""
    root = folder / "published"
    bundle = publish_small(root, catalog, model=ModelSource(name="streamrec-item-encoder", version="2"))
    make_towers(folder / "towers", bundle, **changes)
    return publish_towers(root, bundle, folder / "towers", model=MODEL, quality={"ndcg": 0.25})
