"""`NeighbourLists`: the nearest items of every item, found in advance while the bundle is already served."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np

from streamrec.retrieval.index import MANY_QUERIES, use_threads
from streamrec.retrieval.search import Searcher
from streamrec.serving.costs import search_cost

LENGTH = 16
"""Neighbours kept of an item, itself left out; who asks for more is searched for."""
MAX_BYTES = 16 * 2**20
MAX_PRODUCTS = 200_000_000_000
"""Products of numbers in all searches together: about a minute of one processor."""
_BLOCK = MANY_QUERIES - 1
"""Items searched for at once: with more, FAISS multiplies matrices, and scores differ in their last digit."""
_NICENESS = 10


class NeighbourLists:
    """Lists filled by one thread of low priority; of an item that has none yet, nothing is known.

    A list says what a search for the item would say, by the same index with the same settings. Catalogues
    that would take more than `MAX_BYTES` or `MAX_PRODUCTS` get no lists.
    """

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._stopped = threading.Event()
        index = searcher.index
        length = min(LENGTH, index.rows - 1)
        small = index.rows * length * 8 <= MAX_BYTES
        worth = small and index.rows * search_cost(index, exact=False) <= MAX_PRODUCTS
        self.length = length if worth else 0
        self.known = 0
        """Rows that have a list: the first ones."""
        # The system gives the memory when it is written to.
        self._scores = np.empty((index.rows if worth else 0, self.length), np.float32)
        self._rows = np.empty((index.rows if worth else 0, self.length), np.int32)

    def of(self, row: int, k: int) -> tuple[list[np.float32], list[int]] | None:
        """Scores and rows of the `k` nearest others, best first; None where they are not known."""
        if row >= self.known or k > self.length:
            return None
        return list(self._scores[row, :k]), self._rows[row, :k].tolist()

    def start(self) -> None:
        """Begin to fill the lists, in a thread, until `stop`."""
        if self.length:
            threading.Thread(target=self._run, name="neighbour-lists", daemon=True).start()

    def stop(self) -> None:
        """End the thread; what is known stays so."""
        self._stopped.set()

    def fill(self) -> None:
        """Find all lists that are missing."""
        index = self._searcher.index
        while self.length and self.known < index.rows and not self._stopped.is_set():
            rows = np.arange(self.known, min(self.known + _BLOCK, index.rows))
            scores, found = self._searcher.nearest(index.vectors(rows), self.length, without=rows)
            self._scores[rows], self._rows[rows] = scores, found
            self.known = int(rows[-1]) + 1

    def _run(self) -> None:
        use_threads(1)
        if sys.platform == "linux":  # elsewhere a thread has no priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        self.fill()
