"""Bundles of any size within seconds: sixteen numbers per item, which are the embedding too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from streamrec.catalog.table import BATCH_ROWS, Catalog
from streamrec.config import PublishConfig
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.publish import publish
from streamrec.schema import FeatureSchema

DIMENSION = 16
GENRES = 20
SCHEMA = FeatureSchema(
    item_id="item_id",
    categorical=("genre", "edition"),
    numeric=tuple(f"n{number:02d}" for number in range(DIMENSION)),
    display=("title",),
)
TYPES = pa.schema(
    [
        ("item_id", pa.string()),
        ("genre", pa.string()),
        ("edition", pa.string()),
        ("title", pa.string()),
        *((name, pa.float64()) for name in SCHEMA.numeric),
    ]
)


@dataclass(frozen=True)
class PlainCatalog(Catalog):
    """Items made as they are read: numbers scatter around a centre per genre, others in each edition."""

    path: Path = Path("plain catalogue")
    schema: FeatureSchema = SCHEMA
    rows: int = 100_000
    edition: int = 0

    def __post_init__(self) -> None:
        pass  # there is no file to look at

    @property
    def num_rows(self) -> int:
        """Items."""
        return self.rows

    def batches(self, columns: Any = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """All columns, whatever is asked for."""
        random = np.random.default_rng(self.edition)
        centres = random.normal(size=(GENRES, DIMENSION))
        for start in range(0, self.rows, batch_rows):
            numbers = np.arange(start, min(start + batch_rows, self.rows))
            genres = random.integers(GENRES, size=len(numbers))
            vectors = centres[genres] + random.normal(size=(len(numbers), DIMENSION)) / 2
            columns = [
                pa.array([f"item_{number:07d}" for number in numbers]),
                pa.array([f"genre {genre}" for genre in genres]),
                pa.array([f"edition {self.edition}"] * len(numbers)),
                pa.array([f"Item {number} of edition {self.edition}" for number in numbers]),
                *(pa.array(column) for column in vectors.T),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=TYPES)


@dataclass
class PlainEncoder:
    """An embedding is the item's numbers."""

    dimension: int = DIMENSION
    schema: FeatureSchema = SCHEMA

    @property
    def codec_fingerprint(self) -> str:
        """The same for all."""
        return hashlib.sha256(b"plain").hexdigest()[:16]

    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        """(n, 16)."""
        return np.stack([rows.column(name).to_numpy() for name in SCHEMA.numeric], axis=1).astype(np.float32)

    def encode_with_variance(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """Means and zeros."""
        means = self.encode(rows)
        return means, np.zeros_like(means)

    def save(self, folder: Path) -> None:
        """Write what every bundle has."""
        codec = {"fingerprint": self.codec_fingerprint, "schema": SCHEMA.model_dump(mode="json")}
        files = {"codec/codec.json": codec, "model/model.json": {"config": {"latent_dim": DIMENSION}}}
        for name, content in files.items():
            (folder / name).parent.mkdir()
            (folder / name).write_text(json.dumps(content))


def publish_plain(
    root: Path,
    rows: int,
    index: Literal["flat", "ivf"],
    edition: int = 0,
    min_recall: float = PublishConfig().min_recall,
) -> Bundle:
    """Publish such a bundle and make it current."""
    config = PublishConfig(index=index, min_recall=min_recall)
    return publish(root, PlainCatalog(rows=rows, edition=edition), PlainEncoder(), config, edition)


def find_or_publish(
    folder: Path, rows: int, index: Literal["flat", "ivf"], min_recall: float = PublishConfig().min_recall
) -> Bundle:
    """Such a bundle, in a place of its own below `folder`; published first where it is not there."""
    root = folder / f"{index}_{rows}_{min_recall}"
    published = (root / CURRENT).is_symlink()
    return Bundle.open(root) if published else publish_plain(root, rows, index, min_recall=min_recall)
