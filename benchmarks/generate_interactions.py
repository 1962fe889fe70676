"""Events per second of `generate_interactions`, and how well the truth ranks what is clicked next.

    python benchmarks/generate_interactions.py [--items 50000] [--users 20000] [--events 1000000]

One process, one core. The ranking: for the last clicks of the year, the share of all items
that are less relevant (the item's percentile), by the truth and by the number of clicks so far.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamrec.catalog.generate import generate
from streamrec.config import GenerateConfig
from streamrec.interactions.generate import (
    GenerateInteractionsConfig,
    InteractionFiles,
    generate_interactions,
)
from streamrec.interactions.generate_truth import TrueRelevance

CLICKS_RANKED = 2_000


def percentiles(files: InteractionFiles, truth: TrueRelevance) -> dict[str, float]:
    """Mean percentile of the last clicked items, 0.5 for a ranking that knows nothing."""
    events = pq.read_table(files.events)
    users = pc.index_in(events["user_id"], truth.user_ids).to_numpy().astype(np.int64)
    items = pc.index_in(events["item_id"], truth.item_ids).to_numpy().astype(np.int64)
    end = events["timestamp"].to_numpy().astype(np.int64).max()
    rows = np.arange(len(events))[-CLICKS_RANKED:]
    counts = np.bincount(items[: rows[0]], minlength=len(truth.item_ids)).astype(np.float32)
    found: dict[str, list[float]] = {"truth": [], "popularity": []}
    for row in rows:
        by_truth = truth.at(int(end)).scores(users[row : row + 1])[0]
        for name, scores in (("truth", by_truth), ("popularity", counts)):
            own = scores[items[row]]
            found[name].append(float(((scores < own) + 0.5 * (scores == own)).mean()))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue, item_truth = folder / "items.parquet", folder / "item_truth.parquet"
        generate(GenerateConfig(preset="structured", items=arguments.items), catalogue, item_truth)
        files = InteractionFiles(folder / "events.parquet", folder / "users.parquet", folder / "truth.npz")
        config = GenerateInteractionsConfig(users=arguments.users, events=arguments.events)
        start, used = time.perf_counter(), time.process_time()
        generate_interactions(config, catalogue, item_truth, files)
        seconds, used = time.perf_counter() - start, time.process_time() - used
        print(f"{arguments.events:,} events: {seconds:.1f} s, of which {used:.1f} s of processor time")
        for name, share in percentiles(files, TrueRelevance.load(folder / "truth.npz")).items():
            print(f"percentile of clicked items by {name}: {share:.3f}")


if __name__ == "__main__":
    main()
