"""`Maps`: the map of each served bundle, made once, in a thread, when it is first asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from streamrec.serving.explorer.item_map import ItemMap
from streamrec.serving.explorer.samples import Samples
from streamrec.serving.served import Served

T = TypeVar("T")


class Maps:
    """What is made of a served bundle lives as long as that does: answers of two bundles are never mixed."""

    def __init__(self) -> None:
        self._maps: WeakKeyDictionary[Served, Future[ItemMap]] = WeakKeyDictionary()
        self._samples: WeakKeyDictionary[Served, Future[Samples]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def map(self, served: Served) -> ItemMap:
        """The map; whoever asks while it is being made waits for the same one.

        Raises:
            StreamRecError: it cannot be made; the next one to ask tries again.
        """
        return await self._once(self._maps, served, partial(ItemMap.of, served.bundle))

    async def samples(self, served: Served) -> Samples:
        """The synthetic samples, placed on the map.

        Raises:
            BundleError: the bundle has none, or they cannot be read.
        """
        item_map = await self.map(served)
        return await self._once(self._samples, served, partial(Samples.of, item_map))

    async def _once(
        self, made: WeakKeyDictionary[Served, Future[T]], served: Served, make: Callable[[], T]
    ) -> T:
        with self._lock:
            future = made.get(served)
            if future is None or (future.done() and future.exception() is not None):
                future = made[served] = _started(make)
        # A request that is given up must not take the map away from the others.
        return await asyncio.shield(asyncio.wrap_future(future))


def _started(make: Callable[[], T]) -> Future[T]:
    """The result of `make`, in a thread of its own: the threads of searches stay free, and none is waited for
    when the process ends."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="item-map", daemon=True).start()
    return future
