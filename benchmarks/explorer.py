"""The explorer with 100,000 items: time and memory of the map, size of what is sent, frames per second.

The frames are Chromium's own, counted while the map is dragged and zoomed at every frame. Without a graphics
processor Chromium draws by software: a computer with one draws faster.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
from plain_bundles import publish_plain
from processes import free_port, service, serving

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.index import MAX_FLAT_ROWS
from streamrec.serving.explorer.item_map import MAX_POINTS, ItemMap, neighbours

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "serving"))
from browser import Tab, browser, chromium

LOADED = (
    "!!document.querySelector('.cover')?.hidden && document.querySelectorAll('.values button').length > 0"
)
FRAMES = """
new Promise((resolve) => {
  const canvas = document.querySelector("canvas.points");
  const { left, width, height } = canvas.getBoundingClientRect();
  const times = [];
  const turn = (now) => {
    times.push(now);
    if (now - times[0] > SECONDS * 1000) return resolve(times.slice(1).map((time, i) => time - times[i]));
    const middle = { clientX: left + width / 2, clientY: height / 2 };
    canvas.dispatchEvent(new WheelEvent("wheel", { ...middle, deltaY: DELTA, cancelable: true }));
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
})
"""


def cpu(pid: int) -> float:
    """Seconds of the processor that a process and its children have used."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in family)


def frames(tab: Tab, seconds: float, delta: float) -> str:
    before = cpu(tab.process)
    intervals = np.array(tab.run(FRAMES.replace("SECONDS", str(seconds)).replace("DELTA", str(delta))))
    spent = 1000 * (cpu(tab.process) - before) / len(intervals)
    return (
        f"{1000 / intervals.mean():5.1f} frames per second, median {np.median(intervals):.0f} ms, "
        f"{spent:.0f} ms of processor each in all of the browser's processes"
    )


def made(bundle: Bundle) -> None:
    rows = bundle.manifest.rows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used = time.process_time()
    neighbours(bundle.searcher.index.vectors(np.arange(min(rows, MAX_POINTS))), 0)
    print(f"neighbours of {min(rows, MAX_POINTS):,} items{time.process_time() - used:6.1f} s of processor")
    begun, used = time.perf_counter(), time.process_time()
    ItemMap.of(bundle)
    wall, cpu = time.perf_counter() - begun, time.process_time() - used
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"the whole map             {cpu:6.1f} s of processor, {wall:.1f} s, {more:.0f} MB more at most")


def sent(address: str) -> None:
    for path in ("points", "column?name=genre", "ids?count=5000"):
        begun = time.perf_counter()
        answer = httpx.get(f"{address}v1/explorer/{path}", timeout=120).raise_for_status()
        print(f"{path:25s} {len(answer.content) / 1e6:6.2f} MB in {time.perf_counter() - begun:.2f} s")


def drawn(address: str, folder: Path) -> None:
    with browser(folder) as tab:
        begun = time.perf_counter()
        tab.open(address)
        tab.wait(LOADED, 120)
        print(f"page, from its address to its points   {time.perf_counter() - begun:.1f} s")
        print(f"still                 {frames(tab, 3, 0)}")
        print(f"coming nearer         {frames(tab, 3, -8)}")
        print(f"going away            {frames(tab, 3, 8)}")
        tab.click(".values button")
        print(f"one value highlighted {frames(tab, 3, -4)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root, port = Path(place) / "published", free_port()
        kind = "flat" if options.items <= MAX_FLAT_ROWS else "ivf"
        made(publish_plain(root, options.items, kind))
        address = f"http://127.0.0.1:{port}/"
        with serving(service(root, port), port, Path(place) / "service.log"):
            httpx.get(f"{address}v1/explorer/map", timeout=300).raise_for_status()
            sent(address)
            if chromium() is None:
                print("no Chromium: no frames")
            else:
                drawn(address, Path(place) / "profile")


if __name__ == "__main__":
    main()
