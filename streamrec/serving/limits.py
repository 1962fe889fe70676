"""`read_body`: a body within its size and its time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from streamrec.serving.problems import Problem
from streamrec.serving.settings import LimitsConfig


async def read_body(scope: Scope, receive: Receive, limits: LimitsConfig) -> bytes:
    """The whole body, whether its length was told or it comes in chunks.

    Raises:
        Problem: it is too large, does not come in time, or the connection ends before.
    """
    most = limits.max_body_bytes
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:20]) > most):
            raise _too_large(most)
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(limits.request_seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "body: the connection ended before it was complete")
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(408, f"the body did not come within {limits.request_seconds:g} seconds") from None
    return b"".join(parts)


def _too_large(most: int) -> Problem:
    return Problem(413, f"body: more than {most:,} bytes", "ask for less at once")
