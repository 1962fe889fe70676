"""Stages of a flow: how long each takes, how far it is, and whether an earlier run has finished it already.

A flow works inside `with alone(...)`, which makes it the only run in its folder, and calls its tasks inside
`with stages("name")` blocks. A task whose output is kept is called through `stages.kept`; what its output
depends on is declared in `streamrec.stages`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, TypeVar

from prefect import get_run_logger

from flows.limits import time_limit
from streamrec.config import run_name
from streamrec.stages.finished import FinishedStages
from streamrec.stages.lock import sole_run
from streamrec.stages.settings import StagesConfig
from streamrec.stages.stage import KeptStage
from streamrec.stages.store import KEPT, StageStore

Progress = Callable[[int, int | None], None]
"""Told (units done, units in all or None)."""
Value = TypeVar("Value")

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

    def reused(self, stage: str, seconds: float, source: str) -> None:
        """`stage` is over: what it would make is that of `source` already, another run as a rule."""

    def told(self, line: str) -> None:
        """Something worth knowing that is no stage."""


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

    def reused(self, stage: str, seconds: float, source: str) -> None:
        """A line with the duration and the source."""
        self._log.info("%s: %.1f s, reused from %s", stage, seconds, source)

    def told(self, line: str) -> None:
        """A line."""
        self._log.info("%s", line)


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

    def __init__(self, finished: FinishedStages | None = None, limits: StagesConfig | None = None) -> None:
        self._listener = _listener.get() or LogListener()
        self._finished, self._limits = finished, limits or StagesConfig()
        self._end = time.monotonic() + 60 * self._limits.run_minutes
        self._sources: list[str | None] = []
        self.seconds: dict[str, float] = {}
        """Duration of each finished stage, in order."""
        self.reused: dict[str, str] = {}
        """Where the output of each stage came from that was not done again."""

    @contextmanager
    def __call__(self, stage: str) -> Iterator[Progress]:
        """Time the `with` block; its value is what the block reports its progress to.

        Raises:
            TimeLimitError: the block takes longer than the settings allow.
        """
        self._listener.started(stage)
        self._sources = []
        start = time.perf_counter()
        own, left = 60 * self._limits.stage_minutes, max(self._end - time.monotonic(), 0.001)
        setting = "stages.stage_minutes" if own < left else "stages.run_minutes"
        with time_limit(min(own, left), f"{stage}: takes longer than {setting} allows; raise it or look why"):
            yield lambda done, total: self._listener.advanced(stage, done, total)
        self.seconds[stage] = time.perf_counter() - start
        sources = [source for source in self._sources if source is not None]
        if sources and len(sources) == len(self._sources):
            self.reused[stage] = sources[-1]
            self._listener.reused(stage, self.seconds[stage], sources[-1])
        else:
            self._listener.finished(stage, self.seconds[stage])

    @property
    def finished(self) -> FinishedStages:
        """What earlier runs have finished; of a flow inside `alone`."""
        if self._finished is None:
            raise RuntimeError("stages are kept inside `with alone(...)` only")
        return self._finished

    def kept(
        self,
        stage: KeptStage,
        make: Callable[[], Value],
        still: Callable[[Value], bool] = lambda value: True,
    ) -> Value:
        """What a stage returned in an earlier run, its files linked into this run's folder; else `make()`.

        Args:
            stage: Its inputs must have been made, or given, before.
            make: Does the stage.
            still: Whether the earlier value holds still, where that depends on more than the stage's key.
        """
        found = self.finished.find(stage, still)
        self._sources.append(None if found is None else f"run {found.run}")
        if found is not None:
            value: Value = found.value
            return value
        value = make()
        self.finished.keep(stage, value)
        return value

    def key(self, stage: KeptStage) -> str:
        """Key of a stage, to be found again by; its inputs must have been made, or given, before."""
        key = self.finished.key(stage)
        if key is None:
            raise RuntimeError(f"{stage.name}: depends on an input without a digest")
        return key

    def adopted(
        self, found: Value | None, source: Callable[[Value], str], make: Callable[[], Value]
    ) -> Value:
        """What a stage has put elsewhere already, in the registry or among the bundles; else `make()`."""
        self._sources.append(None if found is None else source(found))
        return make() if found is None else found


@contextmanager
def alone(flow: str, config: Any) -> Iterator[tuple[Path, Stages]]:
    """Be the only run in `config.out`; gives the folder of the new run and its stages.

    Raises:
        RunLockedError: another run was waited for longer than `stages.wait_minutes`.
    """
    out: Path = config.out.resolve()
    settings: StagesConfig = config.stages
    folder = out / "runs" / run_name()
    listener = _listener.get() or LogListener()
    with sole_run(out, flow, 60 * settings.wait_minutes, listener.told):
        store = StageStore(out / KEPT, settings.keep)
        yield folder, Stages(FinishedStages(store, config, folder, settings.fresh), settings)
