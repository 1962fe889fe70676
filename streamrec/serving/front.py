"""`Front`: every request comes in here, and what goes wrong behind it becomes an answer here.

Operations are found and called without FastAPI's layers, which take as long as a search; what no operation
answers (the page, unknown paths) goes on to the application behind.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamrec.errors import StreamRecError
from streamrec.serving.auth import Tokens
from streamrec.serving.endpoint import OPERATION, Call, Operation, Service
from streamrec.serving.live import LiveBundle
from streamrec.serving.metrics import OTHER
from streamrec.serving.problems import Problem, busy

log = logging.getLogger("streamrec.serving")
UNLIMITED = ("/healthz", "/readyz", "/metrics")
"""Paths that answer however busy the service is."""


class Routes:
    """Operations by path."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        """Take operations; of two that match a path, the first answers."""
        self._plain = {one.path: one for one in operations if "{" not in one.path}
        self._patterns = [
            (re.compile(re.sub(r"{(\w+)}", r"(?P<\1>.*)", one.path), re.DOTALL), one)
            for one in operations
            if "{" in one.path
        ]

    def find(self, path: str) -> tuple[Operation | None, Mapping[str, str]]:
        """What answers at a path, and the parameters in it; None where nothing does."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain, {}
        for pattern, operation in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                return operation, match.groupdict()
        return None, {}


class Front:
    """Checks the token, finds the operation, calls it, sends its answer or its error, and counts both."""

    def __init__(
        self, service: Service, operations: tuple[Operation, ...], tokens: Tokens, rest: ASGIApp
    ) -> None:
        self._service = service
        self._routes = Routes(operations)
        self._tokens = tokens
        self._rest = rest
        self._most = service.settings.limits.concurrency
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; whatever else a server says goes to the application behind."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        start = time.perf_counter()
        operation, parameters = self._routes.find(scope["path"])
        self._running += 1
        try:
            self._tokens.check(scope)
            if self._running > self._most and scope["path"] not in UNLIMITED:
                raise busy(f"{self._most} requests are in progress, the most at once")
            if operation is None:
                status = await _elsewhere(self._rest, scope, receive, send)
            else:
                if scope["query_string"] or scope["method"] != operation.method:
                    check_call(operation, scope)
                answer = await operation.handle(Call(self._service, scope, receive, parameters))
                status = 200
                await send_answer(status, answer.kind, answer.body, send)
        except Exception as error:
            problem = as_problem(error, self._service.live)
            status = problem.status
            await send_problem(problem, self._service.live, send)
        finally:
            self._running -= 1
        name = scope.get(OPERATION, OTHER) if operation is None else operation.path
        self._service.metrics.answered(name, status, time.perf_counter() - start)


def check_call(operation: Operation, scope: Scope) -> None:
    """Refuse another method than the operation's, and a query that it does not read.

    Raises:
        Problem: with what was expected.
    """
    method = scope["method"]
    if method != operation.method and (method, operation.method) != ("HEAD", "GET"):
        allowed = "GET, HEAD" if operation.method == "GET" else operation.method
        raise Problem(405, f"{method[:20]} is not answered here", headers={"allow": allowed})
    if scope["query_string"] and not any(one["in"] == "query" for one in operation.parameters):
        raise Problem(422, "found a query in the URL, expected none", "see /openapi.json")


def as_problem(error: Exception, live: LiveBundle) -> Problem:
    """What to answer when an error of any kind was raised; the unexpected is logged, not told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StreamRecError):
        served = live.state.served
        message = str(error)
        if served is not None:
            message = message.replace(f"{served.bundle.path}/", "").removeprefix(f"{served.bundle.path}: ")
        return Problem(422, message)
    log.error("a request failed", exc_info=error)
    return Problem(500, "the service failed; its log says why")


async def send_problem(problem: Problem, live: LiveBundle, send: Send) -> None:
    """Answer with an error."""
    served = live.state.served
    body = problem.body(None if served is None else served.version)
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    await send_answer(problem.status, b"application/json", body, send, headers)


async def send_answer(
    status: int, kind: bytes, body: bytes, send: Send, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a whole answer."""
    start: Message = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"x-content-type-options", b"nosniff"),
            *(headers or ()),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _elsewhere(rest: ASGIApp, scope: Scope, receive: Receive, send: Send) -> int:
    """The status with which the application behind answered."""
    status = 500

    async def noting(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    await rest(scope, receive, noting)
    return status
