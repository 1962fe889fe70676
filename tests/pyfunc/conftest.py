"""One store with one registered encoder of a table that has every kind of column."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mlflow.artifacts import download_artifacts

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, TrackConfig
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.pyfunc.registry import RegisteredModel, register_item_encoder
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema, MultiLabelColumn
from streamrec.tracking import TrackingStore, prepare_store


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow makes a database in the working folder when it is asked for the process's global store."""
    folder = tmp_path / "working folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []
    assert not mlflow.is_tracking_uri_set()


SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("kind", "year", "live"),
    multi_label=(MultiLabelColumn(name="tags", delimiter="|"), MultiLabelColumn(name="cast")),
    numeric=("price", "plays", "free"),
    timestamp="added",
    display=("title",),
)
ROWS = 400


def sparse(draw: np.random.Generator, values: object, share: float = 0.2) -> pa.Array:
    return pa.array(values, mask=draw.random(ROWS) < share)


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    draw = np.random.default_rng(3)
    lists = [
        list(draw.choice(["a b", "c", "d"], count, replace=False)) for count in draw.integers(0, 3, ROWS)
    ]
    return pa.table(
        {
            "id": [f"item-{number}" for number in range(ROWS)],
            "kind": sparse(draw, draw.choice(["film", "séries", "short"], ROWS)),
            "year": sparse(draw, draw.integers(2015, 2020, ROWS)),
            "live": sparse(draw, draw.random(ROWS) < 0.5),
            "tags": pa.array(lists, pa.list_(pa.string())),
            "cast": pa.array(lists[::-1], pa.list_(pa.string())),
            "price": sparse(draw, draw.lognormal(size=ROWS)),
            "plays": sparse(draw, draw.integers(0, 10_000, ROWS)),
            "free": sparse(draw, draw.random(ROWS) < 0.3),
            "added": pa.array(np.arange(ROWS) * 1_000_000, pa.timestamp("us")),
            "title": [f"Title {number}" for number in range(ROWS)],
        }
    )


@pytest.fixture(scope="session")
def encoder(rows: pa.Table) -> ItemEncoder:
    codec = FeatureCodec.fit(rows, SCHEMA, CodecConfig())
    torch.manual_seed(0)
    return ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=5, hidden=(32,))))


@pytest.fixture(scope="session")
def encoder_folder(encoder: ItemEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    encoder.save(folder)
    return folder


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingStore:
    return prepare_store(TrackConfig(), tmp_path_factory.mktemp("registered"))


@pytest.fixture(scope="session")
def registered(store: TrackingStore, encoder_folder: Path, rows: pa.Table) -> RegisteredModel:
    with store.start_run("register") as run:
        return register_item_encoder(run, encoder_folder, rows, {"dataset": "mixed"})


@pytest.fixture(scope="session")
def model_folder(store: TrackingStore, registered: RegisteredModel) -> Path:
    """Folder of the registered version's MLflow model."""
    location = store.client.get_model_version_download_uri(registered.name, str(registered.version))
    return Path(download_artifacts(location))


CONSUMER = """
import sys
import mlflow, numpy, pandas
model = mlflow.pyfunc.load_model("models:/streamrec-item-encoder@champion")
numpy.save(sys.argv[2], model.predict(pandas.read_parquet(sys.argv[1])))
"""


@pytest.fixture
def predict_in_clean_process(rows: pa.Table, tmp_path: Path) -> Callable[[str], np.ndarray]:
    """What a consumer's process gets for `rows` from the champion of the store at a URI."""

    def predict(uri: str) -> np.ndarray:
        pq.write_table(rows, tmp_path / "items.parquet")
        subprocess.run(
            [sys.executable, "-c", CONSUMER, "items.parquet", "vectors.npy"],
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            check=True,
            timeout=200,
        )
        return np.load(tmp_path / "vectors.npy", allow_pickle=False)

    return predict
