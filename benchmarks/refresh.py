"""Refresh a bundle of a million items of which 1% changed, beside a full publication in the same run.

    python benchmarks/refresh.py [--rows N] [--changed SHARE] [--folder FOLDER]

The encoder is an `ItemVAE` of 16 latents trained for a few seconds on 20,000 of the items. Half of the
changes are other numbers, half are new items in place of old ones. Each step runs in a process of its own,
which reports its peak memory. On a machine that is busy compare the CPU seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from publish_million import SCHEMA, SEED, peak_memory, train_encoder, write_catalog

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig


def change_catalog(folder: Path, share: float) -> None:
    """Write `changed.parquet`: other numbers in half of the chosen rows, other ids as well in the rest."""
    random = np.random.default_rng(SEED + 1)
    catalog = Catalog(folder / "catalog.parquet", SCHEMA)
    rows = catalog.num_rows
    chosen = np.sort(random.permutation(rows)[: round(share * rows)])
    schema = next(catalog.batches(batch_rows=1)).schema
    with pq.ParquetWriter(folder / "changed.parquet", schema) as writer:
        start = 0
        for batch in catalog.batches():
            here = chosen[(chosen >= start) & (chosen < start + batch.num_rows)]
            numbers, ids = batch.column("n00").to_numpy().copy(), batch.column("item_id").to_numpy().copy()
            numbers[here - start] += 0.5
            ids[here[::2] - start] += rows
            table = pa.Table.from_batches([batch]).set_column(0, "item_id", pa.array(ids))
            writer.write_table(table.set_column(table.column_names.index("n00"), "n00", pa.array(numbers)))
            start += batch.num_rows


def publish_full(folder: Path, table: str, root: str) -> None:
    from streamrec.retrieval.encoder import ItemEncoder
    from streamrec.retrieval.publish import publish

    encoder, catalog = ItemEncoder.load(folder / "run"), Catalog(folder / f"{table}.parquet", SCHEMA)
    start, cpu = time.perf_counter(), time.process_time()
    bundle = publish(folder / root, catalog, encoder, PublishConfig(), SEED)
    tell("full publication", time.perf_counter() - start, time.process_time() - cpu, bundle.seconds)
    print(
        f"{'recall@10':<24}{bundle.manifest.recall.value:8.4f}, {bundle.manifest.index.nprobe} lists probed"
    )


def refresh_bundle(folder: Path) -> None:
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.refresh import compare, refresh

    catalog = Catalog(folder / "changed.parquet", SCHEMA)
    start, cpu = time.perf_counter(), time.process_time()
    before = Bundle.open(folder / "published")
    opened = time.perf_counter()
    changes = compare(before, catalog, max_removed=0.5)
    compared = time.perf_counter()
    bundle = refresh(before.path.parent, before, catalog, changes, PublishConfig())
    stages = {"open": opened - start, "compare": compared - opened} | bundle.seconds
    tell("refresh", time.perf_counter() - start, time.process_time() - cpu, stages)
    print(
        f"{'recall@10':<24}{bundle.manifest.recall.value:8.4f}, {bundle.manifest.index.nprobe} lists probed"
    )
    print(f"{'changes':<24}{bundle.manifest.refreshed}")


def check_equal(folder: Path) -> None:
    tables = [
        pq.read_table((folder / root / "current").resolve() / "embeddings.parquet")
        for root in ("published", "full")
    ]
    print(f"{'equal to the full one':<24}{tables[0].equals(tables[1])!s:>8}")


def tell(name: str, total: float, cpu: float, stages: dict[str, float]) -> None:
    for stage, seconds in stages.items():
        print(f"  {stage:<22}{seconds:8.2f} s")
    print(f"{name:<24}{total:8.2f} s, {cpu:.2f} s of CPU")
    print(f"{'peak memory':<24}{peak_memory()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.01)
    parser.add_argument("--folder", type=Path, help="keep the files here, and use again what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "catalog.parquet").exists():
            write_catalog(folder / "catalog.parquet", arguments.rows)
        change_catalog(folder, arguments.changed)
        trained = [] if (folder / "run" / "model").exists() else [(train_encoder, (folder,))]
        for step, given in (
            *trained,
            (publish_full, (folder, "catalog", "published")),
            (publish_full, (folder, "changed", "full")),
            (refresh_bundle, (folder,)),
            (check_equal, (folder,)),
        ):
            process = multiprocessing.get_context("spawn").Process(target=step, args=given)
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{step.__name__} failed")


if __name__ == "__main__":
    main()
