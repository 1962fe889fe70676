"""`Metrics`: what the service tells Prometheus, of one process or of several together."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from streamrec.serving.live import State

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several workers add up their numbers."""
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
KIND = CONTENT_TYPE_LATEST.encode()
OTHER = "other"
"""Route of requests that no operation answers: the page, and paths that there are not."""


class Metrics:
    """The numbers of one worker; it watches a `LiveBundle`."""

    def __init__(self) -> None:
        disable_created_metrics()  # a series beside every counter, which nothing reads
        self._registry = CollectorRegistry()
        self._state = State()

        def gauge(name: str, text: str, mode: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._requests = Counter(
            "streamrec_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "streamrec_request_seconds",
            "Time from a request's first byte read to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._swaps = Counter("streamrec_bundle_swaps", "Bundles taken into use.", registry=self._registry)
        self._refusals = Counter(
            "streamrec_bundle_refusals", "Bundles found that did not verify.", registry=self._registry
        )
        self._info = gauge("streamrec_bundle_info", "1 for the version in use.", "livemax", ("version",))
        self._refused = gauge(
            "streamrec_bundle_refused", "1 while `current` is not what is served.", "livemax"
        )
        self._rows = gauge("streamrec_bundle_rows", "Items of the bundle in use.", "livemostrecent")
        self._created = gauge(
            "streamrec_bundle_created_seconds", "Unix time of its publication.", "livemostrecent"
        )
        self._known = gauge(
            "streamrec_bundle_neighbours_known", "Items whose neighbours are found in advance.", "livemin"
        )
        self._age = gauge("streamrec_bundle_age_seconds", "Time since its publication.", "livemostrecent")
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def watch(self, before: State, after: State) -> None:
        """Note a change of the bundle in use."""
        self._state = after
        if after.served is not None and after.served is not before.served:
            self._swaps.inc()
            if before.served is not None:
                self._info.labels(before.served.version).set(0)
            self._info.labels(after.served.version).set(1)
            manifest = after.served.bundle.manifest
            self._rows.set(manifest.rows)
            self._created.set(manifest.created.timestamp())
        if after.refused is not None and after.refused != before.refused:
            self._refusals.inc()
        self._refused.set(after.refused is not None)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        found = self._children.get((route, status))
        if found is None:
            found = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._children[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def page(self) -> bytes:
        """The numbers of all workers, in Prometheus's text format."""
        if self._state.served is not None:
            self._known.set(self._state.served.neighbours.known)
            self._age.set(time.time() - self._state.served.bundle.manifest.created.timestamp())
        shared = os.environ.get(SHARED)
        if shared is None:
            return generate_latest(self._registry)
        _forget_dead(Path(shared))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_dead(folder: Path) -> None:
    """Leave out the gauges of workers that have ended, however they did."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            pass
