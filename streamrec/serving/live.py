"""`LiveBundle`: the bundle in use, followed to its next version without a restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamrec.errors import BundleError, StreamRecError
from streamrec.retrieval.bundle import Bundle, resolve
from streamrec.serving.memory import give_back
from streamrec.serving.problems import Problem
from streamrec.serving.served import Served

log = logging.getLogger("streamrec.serving")

Signature = tuple[str, tuple[tuple[str, int, int, int], ...]]


@dataclass(frozen=True)
class Refused:
    """What `current` means and is not served."""

    version: str | None
    """Name of the folder; None where there is none."""
    reason: str
    """Why, without the path of the folder of bundles."""
    since: datetime
    """When it was found out, UTC."""


@dataclass(frozen=True)
class State:
    """What is served and what was refused, seen at one moment."""

    served: Served | None = None
    refused: Refused | None = None


Watcher = Callable[[State, State], None]
"""Told the state before and after a change."""


class LiveBundle:
    """Follows `current` below a folder of bundles, or one bundle.

    A new bundle is read and verified whole beside the one in use, then takes its place by one assignment.
    One that does not verify is remembered with its reason and not read again until a file of it changes;
    the old one goes on serving, as it does where `current` is missing.
    """

    def __init__(self, root: Path, poll_seconds: float = 1.0, watcher: Watcher | None = None) -> None:
        self.root = root
        self.state = State()
        self._poll_seconds = poll_seconds
        self._watcher = watcher
        self._serving: Signature | None = None
        self._broken: dict[Signature, Exception] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def current(self) -> Served:
        """The bundle in use; a request takes it once.

        Raises:
            Problem: nothing is served yet.
        """
        state = self.state
        if state.served is None:
            reason = "nothing is published" if state.refused is None else state.refused.reason
            raise Problem(503, f"no bundle to answer from: {reason}", "publish one with `streamrec run`")
        return state.served

    def refresh(self) -> None:
        """Look once at what `current` means, and serve it where it is new and verifies."""
        with self._lock:
            while not self._look():
                pass

    def start(self) -> None:
        """Go on looking, in a thread, until `stop`."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._follow, name="live-bundle", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a bundle that it is reading is not waited for."""
        self._stopped.set()
        if self.state.served is not None:
            self.state.served.neighbours.stop()

    def _follow(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.refresh()

    def _look(self) -> bool:
        """Whether what was found is settled; not so where `current` moved on while it was read."""
        try:
            folder = resolve(self.root)
            signature = _signature(folder)
        except (BundleError, OSError) as error:
            self._refuse(None, error)
            return True
        if signature == self._serving:
            self._change(State(self.state.served))
            return True
        if signature not in self._broken:
            try:
                served = self._read(folder)
            except Exception as error:
                if _moved_on(self.root, folder):
                    return False
                if not isinstance(error, StreamRecError | Problem):
                    log.exception("reading bundle %s", folder.name)
                self._broken[signature] = error
            else:
                self._serving = signature
                self._change(State(served))
                give_back()
                served.neighbours.start()
                return True
        self._refuse(folder.name, self._broken[signature])
        return True

    def _read(self, folder: Path) -> Served:
        served = Served(Bundle.open(folder))
        if self.state.served is not None:
            served.encoders.warm_as(self.state.served.encoders)
        return served

    def _refuse(self, version: str | None, error: Exception) -> None:
        reason = str(error).replace(f"{self.root.resolve()}/", "").replace(f"{self.root}/", "")
        known = self.state.refused
        if known is None or (known.version, known.reason) != (version, reason):
            log.error("bundle %s is not served: %s", version or "current", reason)
            self._change(State(self.state.served, Refused(version, reason, datetime.now(UTC))))

    def _change(self, state: State) -> None:
        before, self.state = self.state, state
        if state != before:
            if state.served is not before.served and state.served is not None:
                log.info("serving bundle %s", state.served.version)
                if before.served is not None:
                    before.served.neighbours.stop()
            if self._watcher is not None:
                self._watcher(before, state)


def _signature(folder: Path) -> Signature:
    """What tells whether a file of a bundle was touched: names, sizes, times of change and places on disk."""
    found = []
    for place, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(place, name)
            status = os.stat(path)
            found.append((path, status.st_size, status.st_mtime_ns, status.st_ino))
    return str(folder), tuple(sorted(found))


def _moved_on(root: Path, folder: Path) -> bool:
    try:
        return resolve(root) != folder
    except BundleError:
        return False
