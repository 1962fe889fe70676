"""Stages of a flow: how long each takes and how far it is, told to whoever listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from prefect import get_run_logger

Progress = Callable[[int, int | None], None]
"""Told (units done, units in all or None)."""

LOG_SECONDS = 10.0
"""A log gets a line of progress at most this often."""


class Listener(Protocol):
    """Hears of the stages of a flow, one after the other."""

    def started(self, stage: str) -> None:
        """`stage` begins."""

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        """`stage` has done so many of its units."""

    def finished(self, stage: str, seconds: float) -> None:
        """`stage` is over, without an error."""


class LogListener:
    """Writes to the log of the flow run."""

    def __init__(self) -> None:
        self._log = get_run_logger()
        self._next = 0.0

    def started(self, stage: str) -> None:
        """Start the clock of the progress lines."""
        self._next = time.monotonic() + LOG_SECONDS

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        """A line every `LOG_SECONDS`."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_SECONDS
            self._log.info("%s: %s", stage, f"{done:,}" if total is None else f"{done:,} of {total:,}")

    def finished(self, stage: str, seconds: float) -> None:
        """A line with the duration."""
        self._log.info("%s: %.1f s", stage, seconds)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Flows called inside the `with` block, in this thread, tell `listener` instead of their log."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Stages:
    """The stages of one flow run; calling it times one."""

    def __init__(self) -> None:
        self._listener = _listener.get() or LogListener()
        self.seconds: dict[str, float] = {}
        """Duration of each finished stage, in order."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Progress]:
        """Time the `with` block; its value is what the block reports its progress to."""
        self._listener.started(stage)
        start = time.perf_counter()
        yield lambda done, total: self._listener.advanced(stage, done, total)
        self.seconds[stage] = time.perf_counter() - start
        self._listener.finished(stage, self.seconds[stage])
