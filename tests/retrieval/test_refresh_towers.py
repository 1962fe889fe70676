"""A refreshed bundle with towers: old vectors as they were, histories of the items that are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_bundles import SCHEMA, make_catalog, make_table
from small_towers import PlainTowers, make_seen, make_towers

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, PublishConfig
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import item_content
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.refresh import compare, refresh
from streamrec.retrieval.tower_encoder import BundleEncoder

REMOVED, CHANGED = [2, 90], 7
MODEL = ModelSource(name="towers", version="4")


def publish_all(folder: Path, index: str) -> Bundle:
    """A bundle of a real item encoder with plain towers that read all of its content."""
    catalog = make_catalog(folder / "items.parquet", make_table(230)[:200])
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=6, hidden=(16,))))
    bundle = publish(folder / "published", catalog, encoder, PublishConfig(), seed=0)
    content = item_content(bundle)
    towers = PlainTowers(6, content.features.shape[1])
    make_towers(folder / "towers", bundle, towers=towers, content=content, index=index, min_recall=0.5)
    return publish_towers(bundle.path.parent, bundle, folder / "towers", model=MODEL, quality={"ndcg": 0.25})


@pytest.fixture(scope="module", params=["flat", "ivf"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """The bundle, and the one refreshed from it."""
    folder = tmp_path_factory.mktemp(request.param)
    before = publish_all(folder, request.param)
    table = make_table(230)
    numbers = table["a"].to_numpy().copy()
    numbers[CHANGED] += 1
    table = table.set_column(table.column_names.index("a"), "a", pa.array(numbers))
    rows = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(230), REMOVED))
    catalog = make_catalog(folder / "now.parquet", table.take(pa.array(rows)))
    changes = compare(before, catalog, 0.5)
    now = refresh(
        before.path.parent, before, catalog, changes, PublishConfig(min_recall=0.9), load=PlainTowers.load
    )
    return before, now


def vectors_by_id(bundle: Bundle, column: str) -> dict[str, np.ndarray]:
    table = pq.read_table(bundle.path / "towers" / "items.parquet")
    return dict(zip(table["id"].to_pylist(), table[column].to_numpy(), strict=True))


def test_vectors_of_unchanged_items_have_the_same_bits(both: tuple[Bundle, Bundle]) -> None:
    old, new = (vectors_by_id(bundle, "vector") for bundle in both)
    shared = set(old) & set(new)
    assert len(shared) == 198
    moved = {name for name in shared if not np.array_equal(old[name], new[name])}
    assert moved == {f"item-{CHANGED:04d}"}


def test_new_and_changed_items_have_the_vectors_of_the_model(both: tuple[Bundle, Bundle]) -> None:
    _, now = both
    fresh = [f"item-{i:04d}" for i in (CHANGED, *range(200, 230))]
    rows = pq.read_table(now.path.parents[1] / "now.parquet")
    rows = rows.filter(pa.compute.is_in(rows["id"], pa.array(fresh)))
    expected = BundleEncoder(now, PlainTowers.load).new_items(rows)
    found = vectors_by_id(now, "vector")
    np.testing.assert_allclose(np.stack([found[i] for i in rows["id"].to_pylist()]), expected, atol=1e-6)
    recommended = now.recommender.towers
    positions = recommended.items.positions(rows["id"])
    np.testing.assert_array_equal(
        recommended.item_index.vectors(positions), [found[i] for i in rows["id"].to_pylist()]
    )


def test_content_of_every_item_is_what_the_bundle_has(both: tuple[Bundle, Bundle]) -> None:
    _, now = both
    content, table = item_content(now), pq.read_table(now.path / "towers" / "items.parquet")
    np.testing.assert_array_equal(np.stack(table["latent"].to_numpy()), content.latents)
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), content.features)


def test_users_are_as_they_were_but_for_items_that_are_gone(both: tuple[Bundle, Bundle]) -> None:
    before, _ = both
    gone = {f"item-{i:04d}" for i in REMOVED}
    old, new = (bundle.recommender.towers for bundle in both)
    assert old.users.column.equals(new.users.column)
    for user in range(len(old.users)):
        seen, seen_now = (
            towers.items.column.take(pa.array(towers.histories.row(user))).to_pylist()
            for towers in (old, new)
        )
        assert seen_now == [item for item in seen if item not in gone]
    everyone = np.arange(len(old.users))
    np.testing.assert_array_equal(old.user_index.vectors(everyone), new.user_index.vectors(everyone))
    assert make_seen(before).user_ids.equals(new.users.column.combine_chunks())


def test_what_was_seen_is_still_left_out(both: tuple[Bundle, Bundle]) -> None:
    _, now = both
    towers = now.recommender.towers
    user = int(towers.histories.lengths.argmax())
    name = towers.users.column[user].as_py()
    best = now.recommender.for_user(name, 50, exclude_seen=True)
    assert not set(best.positions) & set(towers.histories.row(user))
    assert len(best) == now.manifest.rows - towers.histories.lengths[user]


def test_the_manifest_says_what_the_towers_are_now(both: tuple[Bundle, Bundle]) -> None:
    before, now = (bundle.manifest.towers for bundle in both)
    assert before is not None
    assert now is not None
    assert (now.facts.items, now.facts.users) == (228, before.facts.users)
    assert (now.model, now.encoder, now.quality) == (MODEL, before.encoder, {"ndcg": 0.25})
    assert (now.facts.item_index.kind, now.facts.item_index.lists) == (
        before.facts.item_index.kind,
        before.facts.item_index.lists,
    )
    assert min(now.facts.item_recall.value, now.facts.user_recall.value) >= 0.9
