"""Neighbours and batch searches over HTTP, beside an empty FastAPI route and beside bare FAISS.

    python benchmarks/serve.py [--rounds N] [--seconds S] [--connections N] [--recall R] [--folder FOLDER]
        [--only PART]

Service and empty route run with the same settings, one worker each; a process of its own sends the requests.
What is compared takes turns, and medians over the rounds are shown: of the rates as they were, and of
the seconds of the processor per request, which a busy machine falsifies least. Items are asked for in turn,
so that no answer is remembered from before, and by a Zipf law. Measured once the service has found the
neighbours of all items in advance, and for more neighbours than it keeps, which it has to search for.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import faiss
import httpx
import numpy as np
from http_load import Load, LoadProcess, load_process, request
from plain_bundles import find_or_publish
from processes import Server, empty_service, free_port, service, serving

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import INDEX
from streamrec.serving.neighbour_lists import LENGTH

K = 10
QUERIES = 100_000
"""Requests that are repeated in turn: many more than the service remembers answers to."""
BATCH = 1_000
"""Searches of one request."""


@dataclass
class Rounds:
    """What was measured of one of the ways that take turns."""

    rates: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    """Seconds of the processor per request."""
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, load: Load, cpu: float) -> None:
        """Take a round's load and the seconds of the processor that the service used."""
        if load.failed:
            raise SystemExit(f"{load.failed} requests failed: {dict(load.statuses)}")
        self.rates.append(load.rate)
        self.spent.append(cpu / len(load.latencies))
        self.p50.append(load.percentile(50))
        self.p99.append(load.percentile(99))


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Median over the rounds."""
    return median(a / b for a, b in zip(one, other, strict=True))


class Way:
    """A service and the requests to it, which go on in each round where the last one ended."""

    def __init__(self, load: LoadProcess, server: Server, requests: list[bytes]) -> None:
        self._load, self._server, self._requests = load, server, requests
        self._next = 0

    def drive(self, connections: int, seconds: float) -> tuple[Load, float]:
        """A round, and the seconds of the processor that the service used."""
        before = self._server.cpu
        found = self._load.drive(self._server.port, self._requests, connections, seconds, first=self._next)
        self._next += len(found.latencies)
        return found, self._server.cpu - before


def bare_index(bundle: Bundle, k: int) -> Callable[[np.ndarray], object]:
    """FAISS alone, with the file and the number of probes of the bundle."""
    index = faiss.read_index(str(bundle.path / INDEX))
    if bundle.manifest.index.nprobe is None:
        return lambda vectors: index.search(vectors, k)
    parameters = faiss.SearchParametersIVF(nprobe=bundle.manifest.index.nprobe)
    return lambda vectors: index.search(vectors, k, params=parameters)


def sample(bundle: Bundle, count: int) -> tuple[list[object], np.ndarray]:
    """Ids and vectors, of length 1, of some items."""
    rows = np.random.default_rng(0).choice(bundle.manifest.rows, size=count, replace=False)
    column = bundle.searcher.items.ids.column
    return [column[int(row)].as_py() for row in rows], bundle.searcher.index.vectors(rows)


def wait_for_lists(port: int, rows: int) -> float:
    """Seconds until a service has found the neighbours of all items in advance."""
    start, known = time.perf_counter(), f"streamrec_bundle_neighbours_known {float(rows)}"
    while known not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
        time.sleep(0.5)
    return time.perf_counter() - start


def describe(bundle: Bundle) -> str:
    index, recall = bundle.manifest.index, bundle.manifest.recall
    lists = f", {index.lists} lists, {index.nprobe} probed" if index.lists else ""
    rows = f"{bundle.manifest.rows:,} x {bundle.manifest.dimension}"
    return f"{rows}, index {index.kind}{lists}, recall@{recall.k} {recall.value:.3f}"


def neighbours(kind: str, folder: Path, load: LoadProcess, told: argparse.Namespace) -> None:
    """One item's neighbours per request, against the empty route and against FAISS one by one."""
    bundle = find_or_publish(folder, 100_000, kind, told.recall)
    ids, vectors = sample(bundle, QUERIES)
    asked = [request("GET", f"/v1/items/{item}/neighbors?k={K}") for item in ids]
    searched = [request("GET", f"/v1/items/{item}/neighbors?k={LENGTH + 1}") for item in ids]
    popularity = 1 / np.arange(1, QUERIES + 1)
    drawn = np.random.default_rng(1).choice(QUERIES, size=QUERIES, p=popularity / popularity.sum())
    search, bare = bare_index(bundle, K + 1), list[float]()
    print(f"\n{describe(bundle)}; k {K}, {told.connections} connections, {told.rounds} rounds:", flush=True)
    log, ports = folder / "service.log", (free_port(), free_port())
    with (
        serving(empty_service(ports[0]), ports[0], log, "/empty") as empty,
        serving(service(bundle.path.parent, ports[1]), ports[1], log) as served,
    ):
        ways = {
            "empty route": Way(load, empty, [request("GET", "/empty")]),
            "items in turn": Way(load, served, asked),
            "by popularity": Way(load, served, [asked[place] for place in drawn]),
            "searched for": Way(load, served, searched),
        }
        print(f"  all neighbours found in advance {wait_for_lists(ports[1], len(ids)):.0f} s after the start")
        measured = defaultdict[str, Rounds](Rounds)
        generator = list[float]()
        for number in range(told.rounds + 1):
            for name, way in ways.items():
                found, cpu = way.drive(told.connections, told.seconds)
                if number:  # the first round warms up
                    measured[name].add(found, cpu)
                    generator.append(found.cpu / found.seconds)
            start = time.process_time()
            for vector in vectors[:500]:
                search(vector[None])
            bare.append((time.process_time() - start) / 500)
    base = measured["empty route"]
    for name, rounds in measured.items():
        spent = f"{median(rounds.spent) * 1e6:4.0f} us of the processor"
        latency = f"p50 {median(rounds.p50):5.2f} ms, p99 {median(rounds.p99):5.2f} ms"
        print(f"  {name:<16}{median(rounds.rates):7,.0f} requests/s, {spent}, {latency}")
        if rounds is not base:
            print(f"    {ratio(rounds.rates, base.rates):.0%} of the empty route's requests/s,", end=" ")
            print(f"{ratio(base.spent, rounds.spent):.0%} by the processor (target 80%);", end=" ")
            print(f"p99 {ratio(rounds.p99, base.p99):.2f}x (target below 3x)")
    rate, spent = 1 / median(bare), f"{median(bare) * 1e6:4.0f} us of the processor"
    print(
        f"  {'bare FAISS':<16}{rate:7,.0f} searches/s, {spent}; generator at most {max(generator):.0%} busy"
    )


def batch(folder: Path, load: LoadProcess, told: argparse.Namespace) -> None:
    """Many searches per request, against the same searches in one FAISS call, on all processors both."""
    bundle = find_or_publish(folder, 1_000_000, "ivf")
    _, vectors = sample(bundle, BATCH)
    queries = [{"vector": vector} for vector in vectors.tolist()]
    asked = [request("POST", "/v1/search", {"queries": queries, "k": K})]
    index, threads = bare_index(bundle, K), os.cpu_count() or 1
    faiss.omp_set_num_threads(threads)
    print(f"\n{describe(bundle)}; {BATCH:,} searches per request, k {K}, {told.rounds} rounds:", flush=True)
    log, port = folder / "service.log", free_port()
    over, bare = Rounds(), Rounds()
    with serving(service(bundle.path.parent, port), port, log) as server:
        way = Way(load, server, asked)
        for number in range(told.rounds + 1):
            found, cpu = way.drive(1, told.seconds)
            start, before, calls = time.perf_counter(), time.process_time(), 0
            while time.perf_counter() - start < told.seconds:
                index(vectors)
                calls += 1
            seconds, own = time.perf_counter() - start, time.process_time() - before
            if number:  # the first round warms up
                over.add(found, cpu)
                bare.rates.append(calls / seconds)
                bare.spent.append(own / calls)
    for name, rounds in (("bare FAISS", bare), ("batch search", over)):
        rate, spent = median(rounds.rates) * BATCH, median(rounds.spent) * 1000
        print(f"  {name:<16}{rate:8,.0f} searches/s, {spent:6.1f} ms of the processor per {BATCH:,}")
    print(f"  on {threads} threads each: {ratio(over.rates, bare.rates):.0%} as timed,", end=" ")
    print(f"{ratio(bare.spent, over.spent):.0%} by the processor (target 85%)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round and way")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--recall", type=float, default=0.99, help="that the index of 100,000 items reaches")
    parser.add_argument("--folder", type=Path, help="keep the bundles here, and use again what is there")
    parts = {"ivf": partial(neighbours, "ivf"), "flat": partial(neighbours, "flat"), "batch": batch}
    parser.add_argument("--only", choices=parts, help="one part alone")
    told = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary, load_process() as load:
        folder = told.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            if told.only in (None, name):
                part(folder, load, told)


if __name__ == "__main__":
    main()
