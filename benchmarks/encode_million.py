"""Seconds to fit a codec, encode and decode a million items of 50 columns on one core.

Run with: taskset -c 0 python benchmarks/encode_million.py
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.schema import FeatureSchema

ROWS = 1_000_000
NUMBERS = tuple(f"number_{j:02d}" for j in range(44))
CATEGORIES = tuple(f"category_{j}" for j in range(5))
SCHEMA = FeatureSchema(item_id="id", categorical=CATEGORIES, multi_label=("labels",), numeric=NUMBERS)


def draw() -> pa.Table:
    """A third of the numbers normal, the rest heavy-tailed; zeros in half, missing cells in a fifth."""
    rng = np.random.default_rng(0)
    names = np.array([f"name_{j}" for j in range(300)])
    columns: dict[str, pa.Array] = {}
    for j, name in enumerate(NUMBERS):
        cells = rng.normal(size=ROWS) if j < 15 else rng.lognormal(size=ROWS)
        if j >= 15 and j % 2:
            cells *= rng.random(ROWS) > 0.3
        columns[name] = pa.array(cells, mask=rng.random(ROWS) < (0.1 if j % 5 == 0 else 0))
    for name in CATEGORIES:
        columns[name] = pa.array(names[np.minimum(rng.geometric(0.02, ROWS), 299)])
    lengths = rng.integers(0, 4, ROWS)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    labels = names[rng.integers(0, 20, lengths.sum())]
    columns["labels"] = pa.ListArray.from_arrays(offsets, pa.array(labels))
    return pa.table(columns)


def main() -> None:
    table = draw()
    start = time.process_time()
    codec = FeatureCodec.fit(table, SCHEMA, CodecConfig())
    fitted = time.process_time()
    rows = codec.encode(table)
    encoded = time.process_time()
    codec.decode(rows)
    decoded = time.process_time()
    print(f"{ROWS:,} x {len(SCHEMA.feature_columns)}, CPU seconds: fit {fitted - start:.1f}, ", end="")
    print(f"encode {encoded - fitted:.1f}, decode {decoded - encoded:.1f}")


if __name__ == "__main__":
    main()
