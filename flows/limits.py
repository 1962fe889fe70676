"""`time_limit`: an error where a block takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

from streamrec.errors import TimeLimitError


@contextmanager
def time_limit(seconds: float, message: str) -> Iterator[None]:
    """Interrupt the `with` block after so many seconds; in the main thread, where flows run, only.

    Raises:
        TimeLimitError: with `message`, where the block is at that moment.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> Never:
        raise TimeLimitError(message)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
