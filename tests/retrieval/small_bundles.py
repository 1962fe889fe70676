"""A small catalogue and an encoder without torch, for tests of bundles and the processes they kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import MANIFEST, FileRecord, Manifest
from streamrec.retrieval.publish import publish
from streamrec.schema import FeatureSchema, MultiLabelColumn

GENRES = ["drama", "comedy", "war", "jazz"]
SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("genre", "year", "adult"),
    multi_label=(MultiLabelColumn(name="tags"),),
    numeric=("a", "b", "c"),
    timestamp="added",
    display=("title",),
)
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class SmallBatches(Catalog):
    """A catalogue read 64 rows at a time."""

    def batches(self, columns: Any = None, batch_rows: int = 64) -> Iterator[pa.RecordBatch]:
        yield from super().batches(columns, batch_rows)


def make_table(rows: int = 200, seed: int = 0, text_ids: bool = True) -> pa.Table:
    """Items that differ in every column; the seed changes the numbers and nothing else."""
    random = np.random.default_rng(seed)
    ids = np.arange(rows)
    tags = [None if i % 13 == 0 else sorted({f"t{i % 3}", f"t{i % 5}"})[: i % 3] for i in ids]
    added = [datetime(2024, 1, 1) + timedelta(hours=int(i)) for i in ids]
    return pa.table(
        {
            "id": pa.array([f"item-{i:04d}" for i in ids]) if text_ids else pa.array(ids),
            "genre": [None if i % 11 == 0 else GENRES[i % len(GENRES)] for i in ids],
            "year": pa.array(1990 + ids % 7, pa.int64()),
            "adult": [bool(i % 2) for i in ids],
            "tags": pa.array(tags, pa.list_(pa.string())),
            **{name: random.normal(size=rows) for name in ("a", "b", "c")},
            "added": pa.array(added, pa.timestamp("us")),
            "title": [f"Item {i}" for i in ids],
        }
    )


def make_catalog(path: Path, table: pa.Table | None = None) -> Catalog:
    pq.write_table(make_table() if table is None else table, path)
    return SmallBatches(path, SCHEMA)


@dataclass
class PlainEncoder:
    """Latents are a fixed linear map of the three numbers, plus a shift that tells encoders apart."""

    dimension: int = 4
    shift: float = 0.0
    schema: FeatureSchema = field(default=SCHEMA)

    @property
    def codec_fingerprint(self) -> str:
        return hashlib.sha256(f"{self.dimension} {self.shift}".encode()).hexdigest()[:16]

    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        numbers = np.stack([rows.column(name).to_numpy() for name in "abc"], axis=1)
        mapping = np.random.default_rng(5).normal(size=(3, self.dimension))
        return (numbers @ mapping + self.shift).astype(np.float32)

    def encode_with_variance(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        means = self.encode(rows)
        return means, -np.abs(means)

    def save(self, folder: Path) -> None:
        for name in ("codec", "model"):
            (folder / name).mkdir()
        codec = {"fingerprint": self.codec_fingerprint, "schema": self.schema.model_dump(mode="json")}
        (folder / "codec" / "codec.json").write_text(json.dumps(codec))
        (folder / "codec" / "codec.npz").write_bytes(b"knots" * 10)
        (folder / "model" / "model.json").write_text(json.dumps({"config": {"latent_dim": self.dimension}}))
        (folder / "model" / "weights.safetensors").write_bytes(b"weights" * 10)


def publish_small(root: Path, catalog: Catalog, encoder: Any = None, **settings: Any) -> Bundle:
    """Publish with the plain encoder; `settings` are those of `PublishConfig` or of `publish`."""
    config = {name: settings.pop(name) for name in [*settings] if name in PublishConfig.model_fields}
    return publish(root, catalog, encoder or PlainEncoder(), PublishConfig(**config), 3, **settings)


def sign_again(folder: Path, **changes: Any) -> None:
    """Make the manifest state what the files are now: only their agreement can still betray them."""
    manifest = Manifest.read(folder / MANIFEST)
    files = {}
    for name in manifest.files:
        with (folder / name).open("rb") as file:
            files[name] = FileRecord.of(file)
    content = manifest.model_dump(by_alias=True) | {"files": files} | changes
    (folder / MANIFEST).write_bytes(Manifest.model_validate(content).to_json())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 in float64: the reference that cosines are compared with."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
