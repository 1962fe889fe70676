"""`Limited`: size of a request, its time, and requests at once."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamrec.serving.endpoint import send_problem
from streamrec.serving.live import LiveBundle
from streamrec.serving.problems import Problem
from streamrec.serving.settings import LimitsConfig

UNLIMITED = ("/healthz", "/readyz", "/metrics")
"""Paths that answer however busy the service is."""


class Limited:
    """Refuses a body that is too large, also one sent in chunks; gives up on what takes too long."""

    def __init__(self, app: ASGIApp, limits: LimitsConfig, live: LiveBundle) -> None:
        self._app = app
        self._limits = limits
        self._live = live
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within the limits."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        if self._running >= self._limits.concurrency:
            problem = Problem(
                503,
                f"{self._running} requests are in progress, the most at once",
                "try again",
                code="busy",
                headers={"retry-after": "1"},
            )
            await send_problem(problem, self._live, send)
            return
        request = _Request(receive, send, self._limits.max_body_bytes)
        self._running += 1
        try:
            request.check_length(scope)
            async with asyncio.timeout(self._limits.request_seconds):
                await self._app(scope, request.receive, request.send)
        except TimeoutError:
            if request.begun:
                raise
            seconds = f"{self._limits.request_seconds:g} seconds"
            if request.receiving:
                problem = Problem(408, f"the body did not come within {seconds}")
            else:
                problem = Problem(503, f"no answer within {seconds}", "ask for less at once", code="timeout")
            await send_problem(problem, self._live, send)
        except Problem as problem:
            await send_problem(problem, self._live, send)
        finally:
            self._running -= 1


class _Request:
    """Counts the bytes of a body, and knows how far the request has come."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._left = most
        self.receiving = False
        self.begun = False

    def check_length(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > self._most):
                raise self._too_large()

    async def receive(self) -> Message:
        self.receiving = True
        message = await self._receive()
        self.receiving = False
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)

    def _too_large(self) -> Problem:
        return Problem(413, f"body: more than {self._most:,} bytes", "ask for less at once")
