"""Rows in, embeddings out: the same bits whatever the batch, and only with the codec the model knows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.errors import BundleError, CatalogError
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.encoder import BLOCK_ROWS, CODEC_ROWS, ItemEncoder
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(
    item_id="id", categorical=("kind", "year"), multi_label=("tags",), numeric=("price", "length")
)


def item_table(rows: int, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    price = draw.lognormal(size=rows)
    tags = [list(draw.choice(["a", "b", "c", "d"], size=count)) for count in draw.integers(0, 4, rows)]
    return pa.table(
        {
            "id": pa.array([f"item-{number}" for number in range(rows)]),
            "kind": pa.array(draw.choice(["film", "series", "short"], rows), mask=draw.random(rows) < 0.1),
            "year": pa.array(draw.integers(1990, 2020, rows)),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "price": pa.array(price, mask=draw.random(rows) < 0.2),
            "length": pa.array(draw.integers(0, 300, rows)),
        }
    )


def fit_encoder(table: pa.Table, seed: int = 0) -> ItemEncoder:
    codec = FeatureCodec.fit(table, SCHEMA, CodecConfig())
    torch.manual_seed(seed)
    return ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=6, hidden=(48, 24))))


TABLE = item_table(2_500)
ENCODER = fit_encoder(TABLE)
VECTORS = ENCODER.encode(TABLE)


def test_an_embedding_is_the_latent_mean_of_the_encoded_row() -> None:
    from streamrec.models.batch import ItemBatch

    means = ENCODER.model.embed(ItemBatch.from_arrays(ENCODER.codec.encode(TABLE)))
    np.testing.assert_allclose(VECTORS, means.numpy(), atol=1e-6)
    assert VECTORS.shape == (2_500, ENCODER.dimension) == (2_500, 6)
    assert VECTORS.dtype == np.float32
    assert len(np.unique(VECTORS, axis=0)) > 2_400, "different items must not share an embedding"


@given(st.lists(st.integers(0, 2_499), min_size=1, max_size=40))
@hypothesis_settings(max_examples=25)
def test_any_selection_of_rows_gets_the_bits_of_the_whole_table(chosen: list[int]) -> None:
    np.testing.assert_array_equal(ENCODER.encode(TABLE.take(chosen)), VECTORS[chosen])


def test_a_row_keeps_its_bits_across_every_block_boundary() -> None:
    rows = CODEC_ROWS + BLOCK_ROWS + 1
    many = pa.concat_tables([TABLE] * (rows // len(TABLE) + 1))[:rows]
    expected = np.tile(VECTORS, (rows // len(TABLE) + 1, 1))[:rows]
    np.testing.assert_array_equal(ENCODER.encode(many), expected)


def test_a_record_batch_and_extra_columns_change_nothing() -> None:
    extended = TABLE.append_column("note", pa.array(["x"] * len(TABLE)))
    batch = extended.combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(ENCODER.encode(batch), VECTORS)


def test_variances_come_with_the_same_means() -> None:
    means, log_variances = ENCODER.encode_with_variance(TABLE)
    np.testing.assert_array_equal(means, VECTORS)
    assert log_variances.shape == VECTORS.shape
    assert not np.allclose(log_variances, means)


def test_no_rows_give_no_embeddings_but_still_need_the_columns() -> None:
    assert ENCODER.encode(TABLE[:0]).shape == (0, 6)
    with pytest.raises(CatalogError, match="'price'"):
        ENCODER.encode(TABLE.drop_columns("price")[:0])


def test_a_model_left_in_training_mode_is_put_in_evaluation_mode() -> None:
    model = ENCODER.model.train()
    try:
        np.testing.assert_array_equal(ItemEncoder(ENCODER.codec, model).encode(TABLE), VECTORS)
    finally:
        model.eval()


def test_saved_and_loaded_it_gives_the_same_bits_and_bytes(tmp_path: Path) -> None:
    ENCODER.save(tmp_path / "one")
    loaded = ItemEncoder.load(tmp_path / "one")
    np.testing.assert_array_equal(loaded.encode(TABLE), VECTORS)
    assert loaded.schema == SCHEMA
    assert loaded.codec_fingerprint == ENCODER.codec_fingerprint
    loaded.save(tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert {file.parts[0] for file in files} == {"codec", "model"}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def random_rotation(seed: int = 0) -> np.ndarray:
    orthogonal, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))
    return orthogonal.astype(np.float32)


ROTATED = ENCODER.rotated(random_rotation())
ROTATED_LATENTS = ROTATED.encode_with_variance(TABLE)


def test_a_rotated_encoder_turns_the_space_and_leaves_its_cosines() -> None:
    vectors = ROTATED.encode(TABLE)
    np.testing.assert_allclose(vectors, VECTORS @ random_rotation(), atol=1e-5)
    np.testing.assert_allclose(vectors[:99] @ vectors[:99].T, VECTORS[:99] @ VECTORS[:99].T, atol=1e-4)
    assert np.abs(vectors - VECTORS).max() > 0.1


@given(st.lists(st.integers(0, 2_499), min_size=1, max_size=40))
@hypothesis_settings(max_examples=10)
def test_a_rotated_row_gets_the_bits_of_the_whole_table(chosen: list[int]) -> None:
    for alone, together in zip(
        ROTATED.encode_with_variance(TABLE.take(chosen)), ROTATED_LATENTS, strict=True
    ):
        np.testing.assert_array_equal(alone, together[chosen])


def test_variances_along_rotated_axes_are_those_of_rotated_draws() -> None:
    mean, log_variance = (torch.from_numpy(part[:1]) for part in ENCODER.encode_with_variance(TABLE[:1]))
    noise = torch.randn(200_000, 6, generator=torch.Generator().manual_seed(0))
    draws = (mean + (0.5 * log_variance).exp() * noise).numpy() @ random_rotation()
    np.testing.assert_allclose(draws.var(0), np.exp(ROTATED_LATENTS[1][0]), rtol=0.02)
    np.testing.assert_allclose(draws.mean(0), ROTATED_LATENTS[0][0], atol=0.02)


def test_a_rotated_embedding_is_decoded_as_the_model_decodes_its_own() -> None:
    own = ENCODER.model.decode(torch.from_numpy(VECTORS[:50])).numbers
    turned = ROTATED.to_latents(ROTATED_LATENTS[0][:50])
    np.testing.assert_allclose(
        ENCODER.model.decode(torch.from_numpy(turned)).numbers.detach(), own.detach(), atol=1e-4
    )


def test_a_rotation_is_saved_with_the_encoder_and_gone_where_there_is_none(tmp_path: Path) -> None:
    ROTATED.save(tmp_path)
    np.testing.assert_array_equal(ItemEncoder.load(tmp_path).encode(TABLE), ROTATED_LATENTS[0])
    first = (tmp_path / "model" / "rotation.safetensors").read_bytes()
    ItemEncoder.load(tmp_path).save(tmp_path)
    assert (tmp_path / "model" / "rotation.safetensors").read_bytes() == first
    ENCODER.save(tmp_path)
    np.testing.assert_array_equal(ItemEncoder.load(tmp_path).encode(TABLE), VECTORS)


@pytest.mark.parametrize(
    ("rotation", "message"),
    [
        (np.eye(5, dtype=np.float32), r"shape \(5, 5\), expected float32 of shape \(6, 6\)"),
        (np.eye(6), "float64"),
        (2 * np.eye(6, dtype=np.float32), "3 from orthonormal"),
        (np.full((6, 6), np.nan, np.float32), "nan from orthonormal"),
    ],
)
def test_what_is_no_rotation_is_refused(rotation: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=message):
        ENCODER.rotated(rotation)


def test_a_broken_rotation_is_refused(tmp_path: Path) -> None:
    ROTATED.save(tmp_path)
    (tmp_path / "model" / "rotation.safetensors").write_bytes(b"none")
    with pytest.raises(BundleError, match=r"rotation\.safetensors: not a rotation"):
        ItemEncoder.load(tmp_path)


def test_a_model_of_another_catalogue_is_refused(tmp_path: Path) -> None:
    other = fit_encoder(TABLE.filter(pa.compute.not_equal(TABLE["kind"], "short")))
    with pytest.raises(
        BundleError, match=r"categorical: found .*'kind', 4.* in the model, expected .*'kind', 5"
    ):
        ItemEncoder(ENCODER.codec, other.model)
    ENCODER.codec.save(tmp_path / "codec")
    other.save(tmp_path / "other")
    (tmp_path / "other" / "model").rename(tmp_path / "model")
    with pytest.raises(BundleError, match=re.escape(f"{tmp_path}: the model does not belong to the codec")):
        ItemEncoder.load(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    ENCODER.save(tmp_path)
    (tmp_path / "model" / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="model"):
        ItemEncoder.load(tmp_path)


@pytest.mark.gpu
def test_on_a_gpu_it_agrees_with_the_cpu() -> None:
    encoder = ItemEncoder(ENCODER.codec, ENCODER.model.to("cuda"))
    try:
        np.testing.assert_allclose(encoder.encode(TABLE), VECTORS, atol=1e-4)
    finally:
        ENCODER.model.to("cpu")
