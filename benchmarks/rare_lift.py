"""What synthetic rows of a rare category do to held-out real items of it.

    python benchmarks/rare_lift.py [--data {news,structured}] [--steps N] [--seeds 5] [--target 500] [--quick]

news: News, split 90/10, with `lifestyle` of `channel` cut to 50 training items, drawn by seed 0; the held-out
items are not cut. structured: 10,000 items of the preset, the rarest category of `format`, split as in a run.
A flow is fitted once on the training items, with the first seed. Each seed draws rows up to the target, and
trains the ItemVAE and a classifier with and without them. Means over the seeds, with 95% t intervals of the
paired lift. `--quick` tries it out: a small flow without refinement, 3 epochs, two seeds; its figures say
nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from news import NEWS, news

from streamrec.augmenters.rare import rare_lift
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.catalog.make import make_catalog
from streamrec.catalog.split import ItemSplit, split_items
from streamrec.config import RunConfig
from streamrec.console import align
from streamrec.schema import FeatureSchema

CHANNEL, KEPT = "lifestyle", 50
"""Channel of News that is made rare, and its training items."""
QUICK = {
    "flow": {"width": 48, "blocks": 2, "evaluations": 8},
    "fit": {"steps": 200},
    "refine": {"cells": False, "ratio_rounds": 0},
}


def rare_news() -> tuple[ItemSplit, FeatureSchema, str]:
    """News with few training items of a channel, the roles, and the column."""
    split, schema = news()
    channel = np.array(split.train["channel"].to_pylist())
    of_it = np.flatnonzero(channel == CHANNEL)
    dropped = np.random.default_rng(0).permutation(of_it)[KEPT:]
    kept = np.ones(len(channel), dtype=bool)
    kept[dropped] = False
    return ItemSplit(split.train.filter(pa.array(kept)), split.held_out), schema, "channel"


def structured() -> tuple[ItemSplit, FeatureSchema, str]:
    """The preset's split and roles, and the column."""
    config = RunConfig.model_validate({"generate": {"preset": "structured", "items": 10_000}})
    with tempfile.TemporaryDirectory() as folder:
        catalog = make_catalog(config, Path(folder)).catalog
        return split_items(catalog, config), catalog.schema, "format"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", choices=("news", "structured"), default="news")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--target", type=int, default=500)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.data == "news" and not NEWS.exists():
        print(f"skipped: no table at {NEWS}")
        return
    settings = AugmentersConfig.model_validate(QUICK if options.quick else {})
    if options.steps:
        settings = settings.model_copy(
            update={"fit": settings.fit.model_copy(update={"steps": options.steps})}
        )
    seeds = range(options.seeds or (2 if options.quick else 5))
    train = {"epochs": 3} if options.quick else {}
    config = RunConfig.model_validate({"generate": {}, "train": train})
    split, schema, column = rare_news() if options.data == "news" else structured()
    started = time.perf_counter()
    found = rare_lift(*split, schema, config, settings, column, options.target, list(seeds))
    rare = ", ".join(f"{c} {n} ({found.held_out_rows.get(c, 0)})" for c, n in found.train_rows.items())
    print(f"{options.data}: {len(split.train):,} training rows; of {column}, with held-out rows: {rare}")
    print(f"filled to {options.target:,}; {settings.fit.steps:,} steps, {len(seeds)} seeds")
    print(align(found.lines()))
    print(f"{'kept' if found.kept else 'not kept'}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
