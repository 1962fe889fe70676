"""Rows per second and peak memory of `generate` against one pandas DataFrame of the same rows.

    python benchmarks/generate_million.py [--items 1000000] [--rounds 3]

Every measurement is a process of its own; the ways take turns, and the median of the rounds is printed.
Time runs from the first draw to the finished Parquet file; memory is the process's peak resident set
less what it held before (imports). Linux only: the peak comes from /proc/self/status.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from streamrec.catalog.generate import generate
from streamrec.catalog.generate_independent import CATEGORIES, NUMBERS, independent_parameters
from streamrec.config import GenerateConfig


def stream_independent(items: int, path: Path) -> None:
    generate(GenerateConfig(preset="independent", items=items), path)


def stream_structured(items: int, path: Path) -> None:
    generate(GenerateConfig(preset="structured", items=items), path)


def stream_structured_with_truth(items: int, path: Path) -> None:
    generate(GenerateConfig(preset="structured", items=items), path, path.with_name("truth.parquet"))


def one_dataframe(items: int, path: Path) -> None:
    """The table of the preset `independent`, drawn at once as one would in a notebook."""
    rng, parameters = np.random.default_rng(42), independent_parameters(42)
    groups = rng.integers(len(CATEGORIES), size=items)
    frame = pd.DataFrame(rng.normal(parameters.means[groups], parameters.stds[groups]), columns=list(NUMBERS))
    frame.insert(0, "category", np.array(CATEGORIES)[groups])
    frame.insert(0, "item_id", [f"item_{i:07d}" for i in range(items)])
    frame.to_parquet(path, index=False, compression="zstd")


WAYS: dict[str, Callable[[int, Path], None]] = {
    "independent, one pandas DataFrame": one_dataframe,
    "independent, generate": stream_independent,
    "structured, generate": stream_structured,
    "structured, generate with truth": stream_structured_with_truth,
}


def memory(name: str) -> float:
    """A field of /proc/self/status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def measure(way: str, items: int) -> tuple[float, float, float]:
    """Rows per second, growth of the peak resident set (MiB), size of the catalogue (MB)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.parquet"
        # The Parquet writer's first use loads libraries: not part of either way.
        pd.DataFrame({"warm": ["up"]}).to_parquet(path)
        before, start = memory("VmRSS"), time.perf_counter()
        WAYS[way](items, path)
        seconds = time.perf_counter() - start
        return items / seconds, memory("VmHWM") - before, path.stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way, found in results.items():
            with multiprocessing.get_context("spawn").Pool(1) as process:
                found.append(process.apply(measure, (way, arguments.items)))
    print(f"{arguments.items:,} rows, median of {arguments.rounds} rounds")
    print(f"{'':36}{'rows/s':>12}{'peak MiB':>12}{'file MB':>12}")
    for way, found in results.items():
        speed, peak, size = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{way:36}{speed:>12,.0f}{peak:>12,.0f}{size:>12,.0f}")


if __name__ == "__main__":
    main()
