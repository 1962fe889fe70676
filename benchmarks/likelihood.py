"""Held-out likelihood of a flow on the preset `independent`, whose density is known.

    python benchmarks/likelihood.py [--items 20000] [--steps 4000] [--width 96] [--blocks 2] [--rows 500]
                                    [--seed 42]

Both in nats per item and in the units of the table: the flow's through the Jacobian of the scores and of the
codec. The difference is paired, item by item, so its standard error is far below that of either likelihood.
A cell beyond the range of the training rows is read as the end of the range: items with one are counted, and
the difference is given without them too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.generate import generate, preset_schema
from streamrec.catalog.generate_independent import NUMBERS, independent_log_density
from streamrec.config import CodecConfig, GenerateConfig

TARGET = 0.5
"""Nats per item that the flow may lose."""


def inside(rows: pa.Table, train: pa.Table) -> np.ndarray:
    """(n,): whether every number is within the range of the training rows."""
    found = np.ones(len(rows), bool)
    for name in NUMBERS:
        known, values = (table[name].to_numpy() for table in (train, rows))
        found &= (values >= known.min()) & (values <= known.max())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=4_000)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = GenerateConfig(items=options.items, seed=options.seed)
        items = generate(config, Path(folder) / "items.parquet").table()
    cut = int(0.9 * len(items))  # the rows are independent: the last are as good as any
    train, held_out = items[:cut], items[cut:][: options.rows]
    codec = FeatureCodec.fit(train, preset_schema("independent"), CodecConfig())
    # A table of independent normals needs no wide network, and a wide one learns the rows by heart sooner.
    network = {"width": options.width, "blocks": options.blocks}
    settings = AugmentersConfig.model_validate({"fit": {"steps": options.steps}, "flow": network})
    # The likelihood is the flow's own: what refines the drawn rows has no part in it.
    bare = settings.model_copy(
        update={"refine": settings.refine.model_copy(update={"cells": False, "ratio_rounds": 0})}
    )
    started = time.perf_counter()
    flow = fit_augmenter("flow", codec.encode(train), codec, bare, seed=options.seed)
    fitted = time.perf_counter()
    found = flow.log_prob(held_out)
    print(
        f"{len(train):,} training rows, {options.steps:,} steps: fitted in {fitted - started:.0f} s, "
        f"{len(held_out):,} densities in {time.perf_counter() - fitted:.0f} s"
    )
    truth = independent_log_density(options.seed, held_out)
    within = inside(held_out, train)
    print(f"NLL, nats per item: flow {-found.mean():.2f}, true density {-truth.mean():.2f}")
    for name, kept in (("all items", np.ones(len(truth), bool)), ("within the training range", within)):
        gap = (truth - found)[kept]
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        verdict = "met" if gap.mean() <= TARGET else "missed"
        print(f"  {name} ({len(gap):,}): {gap.mean():.3f} ± {error:.3f} above it, up to {TARGET}: {verdict}")


if __name__ == "__main__":
    main()
