from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_bundles import PlainEncoder, make_catalog, publish_small, sign_again
from small_towers import MODEL, PlainTowers, make_content, make_seen, make_towers, publish_with_towers

from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, Manifest
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.read_towers import open_towers


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("towers")
    return publish_with_towers(folder, make_catalog(folder / "catalog.parquet"))


@pytest.fixture
def items(tmp_path: Path) -> Bundle:
    return publish_small(tmp_path / "published", make_catalog(tmp_path / "catalog.parquet"))


def test_a_bundle_with_towers_has_the_same_items_and_says_where_both_models_came_from(
    published: Bundle,
) -> None:
    root = published.path.parent
    older = next(path for path in root.iterdir() if path.is_dir() and path.name < published.path.name)
    before = Manifest.read(older / MANIFEST)
    assert before.towers is None
    assert "towers" not in json.loads((older / MANIFEST).read_text())
    own = {name: record for name, record in published.manifest.files.items() if name[:7] != "towers/"}
    assert own == before.files
    assert os.path.samefile(older / "items.faiss", published.path / "items.faiss")
    towers = published.manifest.towers
    assert towers is not None
    assert (towers.model, towers.encoder) == (MODEL, before.model)
    assert towers.quality == {"ndcg": 0.25}
    facts = towers.facts
    assert (facts.items, facts.users, facts.dimension, facts.metric) == (200, 60, 6, "inner_product")
    assert facts.encoder_fingerprint == before.encoder_fingerprint
    assert (facts.item_recall.value, facts.item_recall.queries, facts.user_recall.queries) == (1.0, 60, 200)
    assert published.neighbours("item-0001", 3).ids == Bundle.open(older).neighbours("item-0001", 3).ids


def test_the_tables_hold_what_the_model_gave(published: Bundle) -> None:
    content, seen = make_content(published), make_seen(published)
    items = pq.read_table(published.path / "towers" / "items.parquet")
    assert items["id"].to_pylist() == seen.item_ids.to_pylist()
    expected = PlainTowers().item_vectors(content.latents, content.features, seen.item_ids)
    np.testing.assert_allclose(np.array(items["vector"].to_pylist()), expected, rtol=1e-5)
    np.testing.assert_array_equal(np.array(items["latent"].to_pylist(), np.float32), content.latents)
    np.testing.assert_array_equal(np.array(items["features"].to_pylist(), np.float32), content.features)
    users = pq.read_table(published.path / "towers" / "users.parquet")
    once = [list(dict.fromkeys(seen.histories().of(user)[::-1]))[::-1] for user in range(60)]
    assert users["history"].to_pylist() == once
    assert sum(map(len, once)) < len(seen)
    last = once[7][-5:]
    np.testing.assert_allclose(users["vector"][7].as_py(), expected[last].mean(axis=0), rtol=1e-4)
    assert not np.any(users["vector"][0].as_py())


def test_towers_are_made_in_blocks_and_by_seed_alike(
    items: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_towers(tmp_path / "a", items)
    make_towers(tmp_path / "b", items)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    monkeypatch.setattr("streamrec.retrieval.write_towers.USER_BLOCK", 7)
    monkeypatch.setattr("streamrec.retrieval.write_towers.ITEM_BLOCK", 64)
    told: list[tuple[int, int | None]] = []
    make_towers(tmp_path / "c", items, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (64, 260)
    assert told[-1] == (260, 260)
    whole, parts = (open_towers(tmp_path / name) for name in "ac")
    np.testing.assert_allclose(
        parts.user_index.vectors(np.arange(60)), whole.user_index.vectors(np.arange(60)), atol=1e-5
    )


def test_towers_of_another_encoder_cannot_be_published(items: Bundle, tmp_path: Path) -> None:
    root = items.path.parent
    make_towers(tmp_path / "towers", items)
    other = publish_small(root, make_catalog(tmp_path / "catalog.parquet"), PlainEncoder(shift=1.0))
    with pytest.raises(BundleError, match=r"trained on the item encoder .*train the towers on this bundle"):
        publish_towers(root, other, tmp_path / "towers")
    assert (root / CURRENT).resolve() == other.path


def test_towers_of_another_encoder_cannot_be_read(published: Bundle, tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "catalog.parquet")
    bundle = publish_with_towers(tmp_path, catalog)
    (bundle.path / "model" / "weights.safetensors").unlink()  # a link to the older bundle's file
    (bundle.path / "model" / "weights.safetensors").write_bytes(b"other weights")
    sign_again(bundle.path)
    with pytest.raises(BundleError, match="trained on the item encoder"):
        Bundle.open(bundle.path)


def test_towers_of_items_in_another_order_are_refused(items: Bundle, tmp_path: Path) -> None:
    seen = make_seen(items)
    turned = seen.item_ids[::-1]
    make_towers(tmp_path / "towers", items, seen=replace(seen, item_ids=turned))
    with pytest.raises(BundleError, match=r"other items than embeddings\.parquet, or in another order"):
        publish_towers(items.path.parent, items, tmp_path / "towers")
    assert (items.path.parent / CURRENT).resolve() == items.path


def test_towers_of_fewer_items_are_refused(items: Bundle, tmp_path: Path) -> None:
    seen, content = make_seen(items), make_content(items)
    few = seen.select(seen.items < 150)
    few = replace(few, item_ids=seen.item_ids[:150])
    make_towers(tmp_path / "towers", items, seen=few, content=content[np.arange(150)])
    with pytest.raises(BundleError, match="have 150 items, the bundle 200"):
        publish_towers(items.path.parent, items, tmp_path / "towers")


def test_a_bundle_that_came_between_stays(items: Bundle, tmp_path: Path) -> None:
    root = items.path.parent
    make_towers(tmp_path / "towers", items)
    between = publish_small(root, make_catalog(tmp_path / "catalog.parquet"))
    with pytest.raises(BundleError, match="became current meanwhile"):
        publish_towers(root, items, tmp_path / "towers")
    assert (root / CURRENT).resolve() == between.path
    assert sorted(path.name for path in root.iterdir() if path.name[0] != ".") == sorted(
        [items.path.name, between.path.name, CURRENT]
    )


def test_new_towers_replace_the_old(tmp_path: Path) -> None:
    first = publish_with_towers(tmp_path, make_catalog(tmp_path / "catalog.parquet"))
    make_towers(tmp_path / "again", first, towers=PlainTowers(dimension=3))
    second = publish_towers(first.path.parent, first, tmp_path / "again", keep=2)
    assert second.recommender.towers.facts.dimension == 3
    assert first.recommender.towers.facts.dimension == 6
    assert second.manifest.rows == 200


@pytest.mark.parametrize(
    "name", ["towers.json", "items.faiss", "users.faiss", "users.parquet", "items.parquet"]
)
def test_every_file_is_needed(name: str, items: Bundle, tmp_path: Path) -> None:
    make_towers(tmp_path / "towers", items)
    (tmp_path / "towers" / name).unlink()
    with pytest.raises(BundleError, match=name):
        publish_towers(items.path.parent, items, tmp_path / "towers")


def test_an_index_of_other_vectors_is_refused(items: Bundle, tmp_path: Path) -> None:
    make_towers(tmp_path / "a", items)
    other = PlainTowers()
    other.maps = -other.maps
    make_towers(tmp_path / "b", items, towers=other)
    os.replace(tmp_path / "b" / "users.faiss", tmp_path / "a" / "users.faiss")
    with pytest.raises(BundleError, match=r"users\.parquet: row \d+ has another vector in the index"):
        open_towers(tmp_path / "a")


def test_a_history_of_no_item_is_refused(items: Bundle, tmp_path: Path) -> None:
    make_towers(tmp_path / "towers", items)
    path = tmp_path / "towers" / "users.parquet"
    table = pq.read_table(path)
    broken = pa.array([[200]] * 60, pa.list_(pa.int32()))
    pq.write_table(table.set_column(2, "history", broken), path)
    with pytest.raises(BundleError, match="names row 200, expected one of 200 items"):
        open_towers(tmp_path / "towers")


def test_a_vector_that_is_not_finite_names_its_user(items: Bundle, tmp_path: Path) -> None:
    class Broken(PlainTowers):
        def user_vectors(self, *given: object) -> np.ndarray:
            vectors = super().user_vectors(*given)  # type: ignore[arg-type]
            vectors[5, 0] = np.nan
            return vectors

    with pytest.raises(BundleError, match=r"user .user-005. .*not finite"):
        make_towers(tmp_path / "towers", items, towers=Broken())


def test_content_of_other_items_is_refused(items: Bundle, tmp_path: Path) -> None:
    content = make_content(items)
    with pytest.raises(BundleError, match="found 199 items with content, expected 200"):
        make_towers(
            tmp_path / "towers", items, content=ItemContent(content.latents[1:], content.features[1:])
        )
