"""Rows per second and peak memory of `ingest` and `infer_schema`, beside a bare Arrow copy of the file.

    python benchmarks/ingest.py [--rows 1000000] [--columns 50]

The table has a text id, a date, four categories, a multi-label and numbers, as Parquet and as CSV. Each
figure comes from a process of its own; the copy only reads and writes, converting and checking nothing.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from streamrec.catalog.infer import infer_schema
from streamrec.catalog.ingest import ingest
from streamrec.catalog.write import TableWriter
from streamrec.config import IngestConfig
from streamrec.schema import FeatureSchema

LABELS = pa.array([f"label {i}" for i in range(30)])
CHUNK = 100_000


def draw(rows: int, columns: int, rng: np.random.Generator, start: int) -> pa.Table:
    counts = rng.integers(0, 5, rows)
    labels = LABELS.take(pa.array(rng.integers(0, 30, counts.sum())))
    seconds = rng.integers(1_500_000_000, 1_700_000_000, rows)
    table = {
        "item_id": pa.array([f"item-{i:09d}" for i in range(start, start + rows)]),
        "published": pa.array(seconds * 1_000_000, pa.timestamp("us")),
        "labels": pa.ListArray.from_arrays(pa.array(np.r_[0, counts.cumsum()], pa.int32()), labels),
    }
    for index in range(4):
        table[f"category_{index}"] = LABELS.take(pa.array(rng.integers(0, 30, rows)))
    for index in range(columns - len(table)):
        values = rng.poisson(100, rows) if index % 4 == 0 else rng.normal(size=rows)
        table[f"number_{index}"] = pa.array(values)
    return pa.table(table)


def write(folder: Path, rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    schema = draw(1, columns, rng, 0).schema
    flat = schema.set(schema.get_field_index("labels"), pa.field("labels", pa.string()))
    with (
        pq.ParquetWriter(folder / "table.parquet", schema) as parquet,
        pyarrow.csv.CSVWriter(folder / "table.csv", flat) as csv,
    ):
        for start in range(0, rows, CHUNK):
            table = draw(min(CHUNK, rows - start), columns, rng, start)
            parquet.write_table(table)
            at = table.column_names.index("labels")
            csv.write_table(table.set_column(at, flat.field(at), pc.binary_join(table["labels"], "|")))


def schema_of(columns: list[str]) -> FeatureSchema:
    return FeatureSchema.model_validate(
        {
            "item_id": "item_id",
            "categorical": [name for name in columns if name.startswith("category")],
            "multi_label": [{"name": "labels", "delimiter": "|"}],
            "numeric": [name for name in columns if name.startswith("number")],
            "timestamp": "published",
        }
    )


def work(what: str, path: Path) -> None:
    schema = schema_of(pq.read_schema(path.with_suffix(".parquet")).names)
    start = time.perf_counter()
    if what == "copy":
        with (
            pq.ParquetFile(path) as file,
            TableWriter(path.parent / "copy.parquet", file.schema_arrow) as writer,
        ):
            for batch in file.iter_batches(65_536):
                writer.write(batch)
    elif what == "ingest":
        ingest(IngestConfig(path=str(path)), schema, path.parent / "run")
    else:
        infer_schema(str(path))
    seconds = time.perf_counter() - start
    rows = pq.read_metadata(path.with_suffix(".parquet")).num_rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    table = f"{path.name:14} {path.stat().st_size >> 20:6} MiB"
    print(f"{what:7} {table}  {seconds:6.1f} s  {rows / seconds:10,.0f} rows/s  {peak:5} MiB peak")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], Path(options.work[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows, options.columns)
        for what, name in (
            ("copy", "table.parquet"),
            ("ingest", "table.parquet"),
            ("infer", "table.parquet"),
            ("ingest", "table.csv"),
            ("infer", "table.csv"),
        ):
            subprocess.run([sys.executable, __file__, "--work", what, f"{folder}/{name}"], check=True)


if __name__ == "__main__":
    main()
