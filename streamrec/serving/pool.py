"""`Pool`: threads for what would keep other requests waiting."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from streamrec.retrieval.index import use_threads
from streamrec.serving.problems import Problem, busy

T = TypeVar("T")
THREADS = 4
"""Long searches at once: more would take turns on the same processors."""


class Pool:
    """A few threads and a bounded queue."""

    def __init__(self, queue: int, seconds: float, workers: int = 1) -> None:
        """Take the calls that may wait, the time for one, and the processes that share the machine."""
        self._processors = max(1, (os.cpu_count() or 1) // workers)
        self._threads = ThreadPoolExecutor(THREADS, "search")
        self._places = threading.Semaphore(queue)
        self._seconds = seconds

    async def run(self, work: Callable[[], T], many: bool = False) -> T:
        """The result of `work`, done in a thread; `many` where it searches for many vectors.

        These are shared among the processors, which would only wait for each other in a search for one.

        A call that is given up before its turn never runs; one that has begun keeps its place until it ends.

        Raises:
            Problem: too many calls wait; the result did not come in time.
        """
        if not self._places.acquire(blocking=False):
            raise busy("too many requests wait")
        future = self._threads.submit(_with_threads, self._processors if many else 1, work)
        future.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Problem(
                503, f"no answer within {self._seconds:g} seconds", "ask for less at once", code="timeout"
            ) from None

    def close(self) -> None:
        """Let the calls that have begun end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _with_threads(threads: int, work: Callable[[], T]) -> T:
    use_threads(threads)
    return work()
