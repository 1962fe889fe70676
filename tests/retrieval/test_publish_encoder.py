"""The real encoder through a bundle: what is published can be used to embed new items."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_bundles import SCHEMA, make_catalog

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, PublishConfig
from streamrec.errors import StreamRecError
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish import publish


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("encoder")
    catalog = make_catalog(folder / "items.parquet")
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=6, hidden=(16,))))
    return publish(folder / "published", catalog, encoder, PublishConfig(log_variance=True), seed=0)


def test_the_encoder_in_the_bundle_gives_the_published_embeddings(bundle: Bundle) -> None:
    encoder = ItemEncoder.load(bundle.path)
    assert encoder.codec_fingerprint == bundle.manifest.codec_fingerprint
    catalog = make_catalog(bundle.path.parent / "again.parquet")
    means, log_variances = encoder.encode_with_variance(catalog.table())
    table = pq.read_table(bundle.path / "embeddings.parquet")
    for name, latents in (("embedding", means), ("log_variance", log_variances)):
        np.testing.assert_array_equal(np.array(table[name].to_pylist(), dtype=np.float32), latents)
    found = bundle.search(means, k=1)
    assert [result.ids[0] for result in found] == table["id"].to_pylist()


def test_a_bundle_of_the_real_encoder_is_queried_without_torch(bundle: Bundle) -> None:
    code = (
        "import sys\nfrom streamrec.retrieval.bundle import Bundle\n"
        "print(*Bundle.open(sys.argv[1]).neighbours('item-0003', k=2).ids, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, bundle.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*bundle.neighbours("item-0003", k=2).ids, "False"]


@pytest.mark.parametrize("name", ["codec/codec.json", "codec/codec.npz", "model/weights.safetensors"])
def test_an_altered_encoder_is_refused_by_the_bundle_too(bundle: Bundle, name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle.path, tmp_path / "copy")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(StreamRecError, match=name):
        Bundle.open(folder)
