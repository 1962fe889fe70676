"""A new space rotated onto a published one: exact where it is the same space, and honest where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_bundles import SCHEMA, make_catalog, make_table, publish_small

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.table import Catalog
from streamrec.config import CodecConfig
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.alignment import align, compare_vectors, procrustes
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.encoder import ItemEncoder


def orthogonal(seed: int, width: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@hypothesis_settings(max_examples=30)
def test_any_rotation_or_reflection_is_found_again(seed: int, width: int) -> None:
    source = np.random.default_rng(seed).normal(size=(4 * width, width))
    turned = source @ orthogonal(seed + 1, width)
    rotation = procrustes(source, turned)
    np.testing.assert_allclose(source @ rotation, turned, atol=1e-9)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(width), atol=1e-12)


def test_no_other_rotation_comes_nearer() -> None:
    random = np.random.default_rng(0)
    source, target = random.normal(size=(2, 50, 3))
    best = np.linalg.norm(source @ procrustes(source, target) - target)
    others = [np.linalg.norm(source @ orthogonal(seed, 3) - target) for seed in range(300)]
    assert best <= min(others)
    assert best > min(others) - 0.5, "some random rotation comes close: the optimum is no accident of scale"


def test_figures_of_vectors_that_moved() -> None:
    reference = np.array([[1, 0], [0, 2], [0, 0], [3, 0]], dtype=np.float32)
    found = np.array([[0, 1], [0, 5], [0, 0], [3, 0]], dtype=np.float32)
    figures = compare_vectors(found, reference)
    assert figures["mean_cosine"] == pytest.approx(0.75)
    assert figures["p05_cosine"] == pytest.approx(np.quantile([0, 1, 1, 1], 0.05))
    assert figures["relative_residual"] == pytest.approx(np.sqrt((2 + 9) / 14))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return make_catalog(tmp_path_factory.mktemp("align") / "items.parquet")


def make_encoder(catalog: Catalog, seed: int = 0, latent_dim: int = 4) -> ItemEncoder:
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(seed)
    return ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=latent_dim, hidden=(16,))))


@pytest.fixture(scope="module")
def bundle(catalog: Catalog) -> Bundle:
    """Published by an encoder whose space is turned."""
    rotation = orthogonal(1, 4).astype(np.float32)
    return publish_small(catalog.path.parent / "published", catalog, make_encoder(catalog).rotated(rotation))


def test_the_same_space_turned_is_turned_back(catalog: Catalog, bundle: Bundle) -> None:
    encoder = make_encoder(catalog)
    found = align(encoder, catalog, bundle, seed=0)
    assert found is not None
    np.testing.assert_allclose(found.rotation, orthogonal(1, 4), atol=1e-5)
    facts = found.alignment
    assert (facts.reference, facts.common_items, facts.comparable) == (bundle.manifest.version, 200, True)
    assert facts.mean_cosine > 0.9999
    assert facts.relative_residual < 1e-4
    nearest = bundle.search(encoder.rotated(found.rotation).encode(catalog.table()), k=1)
    assert [result.ids[0] for result in nearest] == catalog.table(["id"])["id"].to_pylist()


def test_another_space_is_not_comparable(catalog: Catalog, bundle: Bundle) -> None:
    found = align(make_encoder(catalog, seed=5), catalog, bundle, seed=0)
    assert found is not None
    assert not found.alignment.comparable
    assert found.alignment.mean_cosine < 0.95


def test_changed_and_new_items_do_not_count(catalog: Catalog, bundle: Bundle, tmp_path: Path) -> None:
    numbers = catalog.table()["a"].to_numpy().copy()
    numbers[:50] += 100
    table = make_table(260, seed=0).slice(200).select(catalog.table().column_names)
    table = pa.concat_tables([catalog.table().set_column(5, "a", pa.array(numbers)), table])
    found = align(make_encoder(catalog), make_catalog(tmp_path / "items.parquet", table), bundle, seed=0)
    assert found is not None
    assert found.alignment.common_items == 150
    assert found.alignment.mean_cosine > 0.9999


def test_without_enough_common_items_there_is_nothing_to_align_to(
    catalog: Catalog, bundle: Bundle, tmp_path: Path
) -> None:
    few = make_catalog(tmp_path / "few.parquet", catalog.table().slice(0, 79))
    assert align(make_encoder(catalog), few, bundle, seed=0) is None
    assert align(make_encoder(catalog, latent_dim=5), catalog, bundle, seed=0) is None
    numbered = catalog.table().set_column(0, "id", pa.array(np.arange(200)))
    renumbered = make_catalog(tmp_path / "numbered.parquet", numbered)
    assert align(make_encoder(catalog), renumbered, bundle, seed=0) is None
    other = SCHEMA.model_copy(update={"display": ()})
    assert align(make_encoder(catalog), Catalog(catalog.path, other), bundle, seed=0) is None


def test_the_same_arguments_give_the_same_bits(catalog: Catalog, bundle: Bundle) -> None:
    first, second = (align(make_encoder(catalog), catalog, bundle, seed=3) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.rotation.tobytes() == second.rotation.tobytes()
    assert first.alignment == second.alignment


def test_a_space_does_not_wander_off_step_by_step(catalog: Catalog, tmp_path: Path) -> None:
    """Each step is small, and the sum of them ends the space: vectors are measured where it began."""
    root, encoder = tmp_path / "published", make_encoder(catalog)
    first = publish_small(root, catalog, encoder).manifest
    spaces = []
    for _ in range(12):
        with torch.no_grad():
            encoder.model.linear.weight[:, :2] *= 1.25
        found = align(encoder, catalog, Bundle.open(root), seed=0)
        assert found is not None
        assert found.alignment.mean_cosine > 0.95, "no single step is large"
        spaces.append(found.space)
        publish_small(
            root, catalog, encoder.rotated(found.rotation), alignment=found.alignment, space=found.space
        )
    assert spaces[0] == first.version
    ended = spaces.index(None)
    assert 0 < ended < 11
    assert spaces[:ended] == [first.version] * ended
    assert spaces[ended + 1] not in (None, first.version), "another space begins and goes on"
