"""`sole_run`: one run at a time in a folder of runs and bundles."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from streamrec.errors import RunLockedError

LOCK = ".run.lock"
"""File in the folder; the lock is the operating system's, and a holder's death frees it."""
POLL_SECONDS = 0.5
FIRST_LOOKS = 3
"""A run that has just got the lock may not have written yet who it is."""

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())
"""Folders of this run: a command has taken them before its flow does."""


@contextmanager
def sole_run(
    out: Path, flow: str, wait_seconds: float, told: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Wait for, then hold, the right to run in `out`; inside such a block for the same folder, do nothing.

    Args:
        out: Folder of the runs and bundles; made where absent.
        flow: Name of this flow, told to others who wait for it.
        wait_seconds: How long to wait for another run.
        told: Gets one line on whom the run waits for, each time that this is another.

    Raises:
        RunLockedError: another run still holds the folder after that time, or the folder cannot be written.
    """
    if out.resolve() in _held.get():
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise RunLockedError(f"{out}: cannot write the run's lock: {error.strerror}") from error
    with file:
        _acquire(file, out, wait_seconds, told)
        file.seek(0)
        file.truncate()
        json.dump({"flow": flow, "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}, file)
        file.flush()
        token = _held.set(_held.get() | {out.resolve()})
        try:
            yield
        finally:
            _held.reset(token)
            file.truncate(0)


def _acquire(file: IO[str], out: Path, wait_seconds: float, told: Callable[[str], None]) -> None:
    end = time.monotonic() + wait_seconds
    looks, said = 0, ""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        looks += 1
        holder = _holder(file)
        if time.monotonic() >= end:
            raise RunLockedError(
                f"{out}: {holder or 'another run'} is at work there and was waited for {wait_seconds:g} s; "
                "let it end, stop it, or raise stages.wait_minutes"
            )
        if holder is None and looks > FIRST_LOOKS:
            holder = "another run"
        if holder is not None and holder != said:
            said = holder
            told(f"waiting for {holder}")
        time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))


def _holder(file: IO[str]) -> str | None:
    """Who has the lock, in words; None where that is not written yet."""
    file.seek(0)
    try:
        found = json.load(file)
        return f"{found['flow']} (process {found['pid']}, since {found['since']} UTC)"
    except (ValueError, KeyError, TypeError):
        return None
