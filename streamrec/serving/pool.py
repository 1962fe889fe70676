"""`Pool`: threads for what would keep other requests waiting."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from streamrec.retrieval.index import ItemIndex, use_threads
from streamrec.serving.problems import Problem, busy

T = TypeVar("T")
SHORT = 1_000_000
"""Products of a search that is done on the spot: about a third of a millisecond."""
ITEM, FEATURES = 1_500, 15_000
"""Products that take as long as writing an item of an answer, without and with its features."""
THREADS = 4
"""Long searches at once: more would take turns on the same processors."""


class Pool:
    """A few threads and a bounded queue; a search in one of them may use several processors."""

    def __init__(self, queue: int, seconds: float, workers: int = 1) -> None:
        """Take the calls that may wait, the time for one, and the processes that share the machine."""
        processors = max(1, (os.cpu_count() or 1) // workers)
        self._threads = ThreadPoolExecutor(THREADS, "search", initializer=use_threads, initargs=(processors,))
        self._places = threading.Semaphore(queue)
        self._seconds = seconds

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread.

        A call that is given up before its turn never runs; one that has begun keeps its place until it ends.

        Raises:
            Problem: too many calls wait; the result did not come in time.
        """
        if not self._places.acquire(blocking=False):
            raise busy("too many requests wait")
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._places.release())
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise Problem(
                503, f"no answer within {self._seconds:g} seconds", "ask for less at once", code="timeout"
            ) from None

    async def run_if_long(self, work: Callable[[], T], cost: int) -> T:
        """The result of `work`, done at once where it is short: a thread takes longer to wake up."""
        return work() if cost <= SHORT else await self.run(work)

    def close(self) -> None:
        """Let the calls that have begun end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def search_cost(index: ItemIndex, queries: int, k: int, features: bool, exact: bool) -> int:
    """About how many products a search takes, its answer included.

    Args:
        index: what is searched.
        queries: vectors to search for.
        k: items wanted for each.
        features: whether their features are read too.
        exact: whether every vector is compared.
    """
    compared = index.rows
    if index.nprobe is not None and not exact:
        lists = index.lists or 1
        compared = lists + compared * index.nprobe // lists
    return queries * (compared * index.dimension + k * (FEATURES if features else ITEM))
