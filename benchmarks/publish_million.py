"""Publish a million items of 50 numeric columns and query them: time per stage, memory, recall, query rates.

    python benchmarks/publish_million.py [--rows N] [--folder FOLDER]

The encoder is an `ItemVAE` trained for a few seconds on 20,000 of the items. Training, publishing and
querying run in a process each, so that each one's peak memory is its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.table import BATCH_ROWS, Catalog
from streamrec.config import IngestConfig, PublishConfig, RunConfig
from streamrec.schema import FeatureSchema
from streamrec.training.settings import TrainConfig

SCHEMA = FeatureSchema(
    item_id="item_id",
    categorical=("genre",),
    numeric=tuple(f"n{number:02d}" for number in range(50)),
    display=("title",),
)
SEED = 0
GENRES = 20


def write_catalog(path: Path, rows: int) -> None:
    """Numbers scatter around a centre per genre, along ten directions and a little off them."""
    random = np.random.default_rng(SEED)
    width = len(SCHEMA.numeric)
    centres, directions = random.normal(size=(GENRES, width)), random.normal(size=(10, width)) / 3
    types = [("item_id", pa.int64()), ("genre", pa.string()), ("title", pa.string())]
    schema = pa.schema([*types, *((name, pa.float64()) for name in SCHEMA.numeric)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, BATCH_ROWS):
            ids = np.arange(start, min(start + BATCH_ROWS, rows))
            genre = random.integers(GENRES, size=len(ids))
            numbers = centres[genre] + random.normal(size=(len(ids), 10)) @ directions
            numbers += 0.2 * random.normal(size=numbers.shape)
            columns = {"item_id": ids, "genre": [f"genre {g}" for g in genre]}
            columns |= {"title": [f"Item {i}" for i in ids]}
            columns |= dict(zip(SCHEMA.numeric, numbers.T, strict=True))
            writer.write_table(pa.table(columns, schema=schema))


def peak_memory() -> str:
    """Largest resident size of this process so far (Linux)."""
    status = Path("/proc/self/status").read_text()
    return f"{int(status.split('VmHWM:')[1].split()[0]) / 1024:8.0f} MB"


def train_encoder(folder: Path) -> None:
    from streamrec.fit import fit_item_encoder

    table = folder / "catalog.parquet"
    train = TrainConfig(epochs=10, max_rows=20_000)
    config = RunConfig(seed=SEED, ingest=IngestConfig(path=str(table)), features=SCHEMA, train=train)
    start = time.perf_counter()
    fit_item_encoder(Catalog(table, SCHEMA), config, folder / "run")
    print(f"{'train (not counted)':<24}{time.perf_counter() - start:8.2f} s")


def publish_bundle(folder: Path) -> None:
    from streamrec.retrieval.encoder import ItemEncoder
    from streamrec.retrieval.publish import publish

    encoder, catalog = ItemEncoder.load(folder / "run"), Catalog(folder / "catalog.parquet", SCHEMA)
    print(f"{'peak memory before':<24}{peak_memory()}")
    start = time.perf_counter()
    bundle = publish(folder / "published", catalog, encoder, PublishConfig(), SEED)
    total = time.perf_counter() - start
    for stage, seconds in bundle.seconds.items():
        print(f"  {stage:<22}{seconds:8.2f} s")
    print(f"{'publish':<24}{total:8.2f} s")
    print(f"{'peak memory':<24}{peak_memory()}")
    index, recall = bundle.manifest.index, bundle.manifest.recall
    print(f"{'index':<24}{index.kind}, {index.lists} lists, {index.nprobe} probed, {recall.queries} queries:")
    print(f"{f'recall@{recall.k}':<24}{recall.value:8.4f}")


def query_bundle(folder: Path) -> None:
    """Open the bundle as a reader does and time queries, one at a time."""
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.embeddings import stream_vectors
    from streamrec.retrieval.index import ItemIndex

    start = time.perf_counter()
    bundle = Bundle.open(folder / "published")
    print(f"{'open and verify':<24}{time.perf_counter() - start:8.2f} s")
    print(f"{'peak memory':<24}{peak_memory()}")
    manifest, index = bundle.manifest, bundle.searcher.index
    rows = np.random.default_rng(SEED).choice(manifest.rows, size=min(2_000, manifest.rows), replace=False)
    vectors = np.stack([index.vector(int(row)) for row in rows])
    table = bundle.path / "embeddings.parquet"
    flat = ItemIndex.build("flat", lambda: stream_vectors(table), manifest.rows, manifest.dimension, SEED)
    time_queries("index as published", lambda vector: index.search(vector, 10), vectors)
    time_queries("flat index", lambda vector: flat.search(vector, 10), vectors[:200])
    time_queries("search with features", lambda vector: bundle.search(vector, 10), vectors)
    only = {"genre": "genre 3"}
    time_queries("search in one genre", lambda vector: bundle.search(vector, 10, only), vectors[:200])


def time_queries(name: str, search: Callable[[np.ndarray], Any], vectors: np.ndarray) -> None:
    start = time.perf_counter()
    for vector in vectors:
        search(vector[None])
    print(f"  {name:<22}{len(vectors) / (time.perf_counter() - start):8.0f} queries/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the files here, and use again what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "catalog.parquet").exists():
            write_catalog(folder / "catalog.parquet", arguments.rows)
        trained = (folder / "run" / "model").exists()
        for step in (
            (publish_bundle, query_bundle) if trained else (train_encoder, publish_bundle, query_bundle)
        ):
            process = multiprocessing.get_context("spawn").Process(target=step, args=(folder,))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{step.__name__} failed")


if __name__ == "__main__":
    main()
