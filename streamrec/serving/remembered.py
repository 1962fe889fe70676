"""`Remembered`: answers of one bundle that were given before; they are true as long as it is served."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MAX_BYTES = 8 * 2**20
_MARKS = 65_536


class Remembered:
    """Bodies of answers by what was asked, the oldest forgotten first; for the event loop alone.

    A few items are asked for far more often than the others, and an answer is sooner found than made. What is
    asked once is not kept: that would cost more than it saves.
    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        """Take the bytes that all answers together may have."""
        self._most = most
        self._bytes = 0
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()
        self._marks = bytearray(_MARKS)

    def get(self, asked: Hashable) -> bytes | None:
        """The answer given before, if it is still there."""
        return self._answers.get(asked)

    def keep(self, asked: Hashable, body: bytes) -> None:
        """Remember an answer that is given a second time."""
        number = hash(asked)
        place, mark = number % _MARKS, (number >> 32) % 255 + 1
        if self._marks[place] != mark:
            self._marks[place] = mark
            return
        self._bytes += len(body) - len(self._answers.get(asked, b""))
        self._answers[asked] = body
        while self._bytes > self._most:
            self._bytes -= len(self._answers.popitem(last=False)[1])
