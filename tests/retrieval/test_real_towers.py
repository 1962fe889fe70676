"""Trained towers all the way: fitted, written, published, and asked for users, histories and new items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from small_bundles import GENRES, SCHEMA, make_catalog, make_table
from small_towers import MODEL, USERS, make_seen

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, PublishConfig
from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.interactions.table import Interactions
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig, TwoTowerConfig
from streamrec.recommenders.fit_towers import scaled_content, train_towers
from streamrec.recommenders.linear import LinearFactors
from streamrec.recommenders.settings import TowersConfig, TowersTrainConfig
from streamrec.recommenders.towers import Mixture, Towers
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import item_content
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.tower_encoder import BundleEncoder
from streamrec.retrieval.write_towers import seen_by, write_towers

TRAINED = 190
"""Items of the bundle that the towers were trained on; the last ten came later."""


@dataclass(frozen=True)
class World:
    bundle: Bundle
    towers: Towers
    content: ItemContent
    seen: Interactions
    features: np.ndarray

    @property
    def ids(self) -> list[str]:
        return self.seen.item_ids.to_pylist()

    @property
    def items(self) -> np.ndarray:
        """(200, k)."""
        return self.towers.item_vectors(self.content.latents, self.content.features, self.ids)

    def users(self, histories: list[np.ndarray], features: np.ndarray | None) -> np.ndarray:
        """(u, k)."""
        return self.towers.user_vectors(
            histories, self.content.latents, self.content.features, self.ids, features
        )


@pytest.fixture(scope="module", params=[False, True], ids=["learned", "with-linear-part"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("real")
    catalog = make_catalog(folder / "catalog.parquet")
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(16,))))
    items = publish(folder / "published", catalog, encoder, PublishConfig(), seed=0)
    content = item_content(items)
    seen = make_seen(items)
    known = seen.select(seen.items < TRAINED)
    features = np.random.default_rng(4).normal(size=(USERS, 3)).astype(np.float32)
    config = TowersConfig(
        network=TwoTowerConfig(dimension=8, hidden=16, negatives=32),
        train=TowersTrainConfig(epochs=3, batch_size=128, learning_rate=0.02),
    )
    towers, _ = train_towers(known, None, content, features, config, None, 0)
    if request.param:
        _, scaled = scaled_content(known, content)
        factors = LinearFactors.of(known, scaled, 50.0, 12, 0).take(np.unique(known.items))
        towers = replace(towers, linear=factors).mixed(Mixture(0.5, 4.0, 0.8))
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
    )
    bundle = publish_towers(folder / "published", items, folder / "towers", model=MODEL)
    return World(bundle, towers, content, seen, features)


def test_users_get_what_their_history_and_features_score_highest(world: World) -> None:
    histories = seen_by(world.seen)
    users = world.users([histories.row(user) for user in range(USERS)], world.features)
    scores = users.astype(np.float64) @ world.items.T.astype(np.float64)
    found = world.bundle.recommender.for_users(None, 5)
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :5], rtol=1e-4, atol=1e-4)
    without = world.users([histories.row(user) for user in range(USERS)], None)
    assert np.abs(users - without).max() > 1e-3
    mask = np.zeros(scores.shape, bool)
    mask[world.seen.users, world.seen.items] = True
    war = np.array([genre == "war" for genre in make_table()["genre"].to_pylist()])
    for user in (0, 1, 7):
        left = scores[user][war & ~mask[user]]
        got = world.bundle.recommender.for_user(
            f"user-{user:03d}", 4, {"genre": GENRES[2]}, exclude_seen=True
        )
        np.testing.assert_allclose(got.scores, -np.sort(-left)[:4], rtol=1e-4, atol=1e-4)
        assert war[got.positions].all()
        assert not mask[user][got.positions].any()


def test_a_history_counts_with_items_that_came_after_the_training(world: World) -> None:
    encoder = BundleEncoder(world.bundle)
    recommendations = world.bundle.recommender
    history = recommendations.history(["item-0003", "item-0195", "item-0017", "item-0003"])
    assert history.tolist() == [3, 195, 17]
    vector = encoder.histories([history])
    np.testing.assert_allclose(vector, world.users([history], None), rtol=1e-5, atol=1e-6)
    assert np.abs(vector - encoder.histories([history[[0, 2]]])).max() > 1e-3
    (found,) = recommendations.for_vectors(vector, 200, without=Lists.of([history]))
    assert sorted(found.positions) == [place for place in range(200) if place not in (3, 195, 17)]


def test_a_new_item_has_the_vector_of_its_content_and_a_known_one_that_of_its_id(world: World) -> None:
    rows = make_table()
    encoder = BundleEncoder(world.bundle)
    np.testing.assert_allclose(encoder.new_items(rows), world.items, rtol=1e-4, atol=1e-4)
    renamed = rows.set_column(0, "id", pa.array([f"new-{number}" for number in range(200)]))
    vectors = encoder.new_items(renamed)
    np.testing.assert_allclose(vectors[TRAINED:], world.items[TRAINED:], rtol=1e-4, atol=1e-4)
    assert (np.abs(vectors - world.items)[:TRAINED].max(axis=1) > 1e-3).all()
    (best,) = world.bundle.recommender.users_for_vectors(vectors[:1], 3)
    everyone = world.bundle.recommender.towers.user_index.vectors(np.arange(USERS)) @ vectors[0]
    np.testing.assert_allclose(best.scores, -np.sort(-everyone)[:3], rtol=1e-4, atol=1e-5)


def test_published_towers_that_changed_are_not_read(world: World) -> None:
    weights = world.bundle.path / "towers" / "model" / "weights.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(BundleError, match="altered since the bundle was opened"):
            BundleEncoder(world.bundle).histories([np.array([1])])
    finally:
        weights.write_bytes(content)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("features", r"items: found 4 latents and 26 features, the towers read 31 in all"),
        ("latents", r"items: found 3 latents and 27 features, the towers read 31 in all"),
        ("users", r"users: found 2 features, the towers read 3"),
    ],
)
def test_content_of_another_width_is_refused(world: World, tmp_path: Path, what: str, message: str) -> None:
    given, features = world.content, world.features
    if what == "users":
        features = features[:, :2]
    else:
        given = replace(given, **{what: getattr(given, what)[:, :-1]})
    with pytest.raises(BundleError, match=message):
        write_towers(
            tmp_path / "towers",
            world.towers,
            given,
            world.seen,
            "0" * 64,
            PublishConfig(),
            0,
            item_column="id",
            user_features=features,
        )
