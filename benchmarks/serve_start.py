"""Start of the service on a million items, and its memory, beside a Python that only reads the files.

    python benchmarks/serve_start.py [--rows N] [--rounds N] [--folder FOLDER]

Start: from the start of the process to the first 200 of /readyz, the bundle verified. Beside it, a fresh
Python that reads every byte of the bundle, then loads its index with FAISS and its ids and features with
pyarrow. Both take turns, and medians are shown, as timed and by the processor. Files are in the page cache.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from plain_bundles import find_or_publish
from processes import empty_service, free_port, run_python, service, serving

BYTES = """
import pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        path.read_bytes()
"""
LOADED = (
    BYTES
    + """
import faiss
import pyarrow.parquet as pq
index = faiss.read_index(sys.argv[1] + "/items.faiss")
table = pq.read_table(sys.argv[1] + "/embeddings.parquet", columns=["item_id", "genre", "edition", "title"])
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the bundle here, and use again what is there")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(told.folder or Path(temporary), told.rows, told.rounds)


def measure(folder: Path, rows: int, rounds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bundle, log = find_or_publish(folder, rows, "ivf"), folder / "service.log"
    size = sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file()) / 1e6
    print(
        f"{rows:,} x {bundle.manifest.dimension}, index {bundle.manifest.index.kind}: {size:.0f} MB of files"
    )
    seconds, spent = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    memory: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for name, code in (("read the bytes", BYTES), ("read and load", LOADED)):
            elapsed, cpu = run_python(code, str(bundle.path))
            seconds[name].append(elapsed)
            spent[name].append(cpu)
        port = free_port()
        for name, command, ready in (
            ("empty service", empty_service(port), "/empty"),
            ("service", service(bundle.path.parent, port), "/readyz"),
        ):
            with serving(command, port, log, ready) as server:
                seconds[name].append(server.seconds)
                spent[name].append(server.cpu)
                memory[name] = server.memory()
    for name, found in seconds.items():
        print(f"  {name:<16}{median(found):6.2f} s, {median(spent[name]):6.2f} s of the processor", end="")
        print("".join(f", {what} {value:4.0f} MB" for what, value in memory.get(name, {}).items()))
    ratios = [median(one["service"]) / median(one["read and load"]) for one in (seconds, spent)]
    print(f"  start: {ratios[0]:.2f}x of reading and loading, {ratios[1]:.2f}x by the processor (target 2x)")
    for what, value in memory["service"].items():
        more = value - memory["empty service"][what]
        print(f"  {what}: {value / size:.2f}x the bundle (target 1.3x), {more / size:.2f}x", end=" ")
        print("without what the empty service takes too")


if __name__ == "__main__":
    main()
