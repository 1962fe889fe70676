"""`Remembered`: answers of one bundle that were given before; they are true as long as it is served."""

from __future__ import annotations

from collections.abc import Hashable

MAX_BYTES = 8 * 2**20


class Remembered:
    """Bodies of answers by what was asked, the oldest forgotten first; for the event loop alone.

    A few items are asked for far more often than the others, and an answer is sooner found than made.
    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        """Take the bytes that all answers together may have."""
        self._most = most
        self._bytes = 0
        self._answers: dict[Hashable, bytes] = {}

    def get(self, asked: Hashable) -> bytes | None:
        """The answer given before, if it is still there."""
        return self._answers.get(asked)

    def keep(self, asked: Hashable, body: bytes) -> None:
        """Remember an answer."""
        if asked in self._answers:
            return
        self._answers[asked] = body
        self._bytes += len(body)
        while self._bytes > self._most:
            self._bytes -= len(self._answers.pop(next(iter(self._answers))))
