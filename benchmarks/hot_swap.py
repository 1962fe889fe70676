"""Bundles change under load, some of them broken: failed requests, and answers that mix versions.

    python benchmarks/hot_swap.py [--rows N] [--swaps N] [--connections N] [--pause S] [--folder FOLDER]

Each bundle has the same items with other vectors and another `edition` among their features. A process of its
own asks without a pause; every distinct answer is compared with what the library finds in the bundle that
the answer names. Three of the swaps make a broken bundle current: a flipped byte, half an index, an altered
manifest. Of the others every fourth goes back to an older bundle, the rest publish a new one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from http_load import Load, load_process, request
from plain_bundles import DIMENSION, publish_plain
from processes import free_port, get, service, serving

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import INDEX, MANIFEST
from streamrec.retrieval.releases import Releases
from streamrec.retrieval.search import Neighbours

K = 10
PATIENCE = 120.0
"""Seconds within which the service must have found a change."""
SCORE_ERROR = 1e-5
Hit = tuple[str, str, float]
"""Id, edition and score of an item of an answer."""


def flip_byte(folder: Path) -> None:
    with (folder / INDEX).open("r+b") as file:
        file.seek((folder / INDEX).stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def halve_index(folder: Path) -> None:
    os.truncate(folder / INDEX, (folder / INDEX).stat().st_size // 2)


def alter_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"zero_vectors": 0', '"zero_vectors": 1'))


DAMAGES: tuple[Callable[[Path], None], ...] = (flip_byte, halve_index, alter_manifest)


class Questions:
    """Requests of every form that names several items, and what the library answers to them."""

    def __init__(self, rows: int) -> None:
        random = np.random.default_rng(7)
        self._ids = [f"item_{row:07d}" for row in random.choice(rows, size=40, replace=False)]
        self._vectors = random.normal(size=(12, DIMENSION)).astype(np.float32)
        queries = [{"vector": vector} for vector in self._vectors.tolist()]
        self.requests = [
            *(request("GET", f"/v1/items/{item}/neighbors?k={K}&features=true") for item in self._ids),
            *(request("POST", "/v1/search", {**query, "k": K, "features": True}) for query in queries),
            request("POST", "/v1/neighbors", {"ids": self._ids[:8], "k": K, "features": True}),
            request("POST", "/v1/search", {"queries": queries, "k": K, "features": True}),
        ]

    def answers(self, bundle: Bundle) -> list[list[Hit]]:
        """Items for each request, those of several queries one after the other."""
        near = [_hits(bundle.neighbours(item, K)) for item in self._ids]
        found = [_hits(one) for one in bundle.search(self._vectors, K)]
        return [*near, *found, [*itertools.chain(*near[:8])], [*itertools.chain(*found)]]


def _hits(found: Neighbours) -> list[Hit]:
    editions = found.items["edition"].to_pylist()
    return list(zip(found.ids, editions, found.scores.tolist(), strict=True))


def check(load: Load, expected: dict[str, list[list[Hit]]]) -> tuple[int, set[str]]:
    """Number of answers that are not what their bundle holds, and the versions that were named."""
    wrong, seen = 0, set[str]()
    for (number, status, body), count in load.answers.items():
        if status != 200:
            print(f"  status {status}, {count} times: {body[:200]!r}")
            continue
        content = json.loads(body)
        parts = content.get("results", [content])
        items = [item for part in parts for item in part["items"]]
        found = [(item["id"], item["features"]["edition"], item["score"]) for item in items]
        seen.add(content["bundle"])
        if not same(found, expected.get(content["bundle"], [[]] * (number + 1))[number]):
            wrong += count
            print(f"  wrong, {count} times: {body[:200]!r}")
    return wrong, seen


def same(found: Sequence[Hit], stated: Sequence[Hit]) -> bool:
    return len(found) == len(stated) and all(
        one[:2] == other[:2] and abs(one[2] - other[2]) < SCORE_ERROR
        for one, other in zip(found, stated, strict=True)
    )


def make_broken_current(root: Path, damage: Callable[[Path], None]) -> str:
    """A damaged copy of the current bundle under a new version's name."""
    releases = Releases(root)
    version = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-0000dead"
    with releases.locked():
        shutil.copytree(root / "current", root / "copy")
        damage(root / "copy")
        os.rename(root / "copy", root / version)
        releases.switch(version)
    return version


def wait_for(port: int, told: Callable[[dict[str, Any]], bool]) -> float:
    """Seconds until /readyz says so."""
    start = time.perf_counter()
    while time.perf_counter() - start < PATIENCE:
        status, body = get(port, "/readyz")
        if status != 200:
            raise SystemExit(f"/readyz answered {status}: {body!r}")
        if told(json.loads(body)):
            return time.perf_counter() - start
        time.sleep(0.02)
    raise SystemExit(f"/readyz still says {body!r}")


def metric(port: int, name: str) -> float:
    lines = get(port, "/metrics")[1].decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def serves(version: str) -> Callable[[dict[str, Any]], bool]:
    return lambda said: (said["bundle"], said["refused"]) == (version, None)


def refuses(version: str, current: str) -> Callable[[dict[str, Any]], bool]:
    return lambda said: (said["bundle"], (said["refused"] or {}).get("version")) == (current, version)


def swap(root: Path, port: int, told: argparse.Namespace, questions: Questions) -> dict[str, list[list[Hit]]]:
    """All the swaps, one after the other; what is expected of each version."""
    first = Bundle.open(root)
    current = first.manifest.version
    expected = {current: questions.answers(first)}
    bad = {told.swaps * place // (len(DAMAGES) + 1): damage for place, damage in enumerate(DAMAGES, 1)}
    refused, waits = 0, list[float]()
    for number in range(1, told.swaps + 1):
        time.sleep(told.pause)
        if number in bad:
            wait_for(port, refuses(make_broken_current(root, bad[number]), current))
            refused += 1
            if metric(port, "streamrec_bundle_refused") != 1:
                raise SystemExit("/metrics does not tell of the refusal")
            continue
        older = [version for version in Releases(root).versions if version in expected and version != current]
        if number % 4 == 0 and older:
            current = older[0]
            Releases(root).make_current(current)
        else:
            bundle = publish_plain(root, told.rows, "ivf", edition=number)
            current = bundle.manifest.version
            expected[current] = questions.answers(bundle)
        waits.append(wait_for(port, serves(current)))
    time.sleep(told.pause)
    if metric(port, "streamrec_bundle_refusals_total") != refused:
        raise SystemExit("/metrics tells of another number of refusals")
    print(
        f"  {len(waits)} good swaps, each in use within {max(waits):.2f} s; {refused} broken bundles refused"
    )
    return expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two swaps")
    parser.add_argument("--folder", type=Path, help="an empty folder for the bundles, which are kept")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, load_process() as load:
        folder = told.folder or Path(temporary)
        root, port, stop = folder / "published", free_port(), folder / "stop"
        publish_plain(root, told.rows, "ivf")
        questions = Questions(told.rows)
        command = [*service(root, port), "--set", "poll_seconds=0.2"]
        with serving(command, port, folder / "service.log"):
            load.drive(port, questions.requests, 1, 0.0)  # its process has started, once it has answered
            running = load.start(port, questions.requests, told.connections, 3600.0, True, stop)
            print(f"{told.rows:,} x {DIMENSION}, {told.swaps} swaps, {told.connections} connections:")
            try:
                expected = swap(root, port, told, questions)
            finally:
                stop.touch()
            found = running.result()
    wrong, seen = check(found, expected)
    print(f"  {len(found.latencies):,} requests in {found.seconds:.0f} s, {found.rate:,.0f}/s,", end=" ")
    print(f"p50 {found.percentile(50):.1f} ms, p99 {found.percentile(99):.1f} ms,", end=" ")
    print(f"longest {found.latencies.max() * 1000:.0f} ms; {len(seen)} of {len(expected)} versions answered")
    print(f"  {found.failed} failed requests (target 0), {wrong} answers that mix versions (target 0)")
    if found.failed or wrong or seen != set(expected):
        raise SystemExit("failed")


if __name__ == "__main__":
    main()
