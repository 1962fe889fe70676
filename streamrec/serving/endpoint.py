"""`Endpoint`: one operation as an ASGI application. What goes wrong below it becomes an answer here.

FastAPI's own machinery (parameters, dependencies, response models) takes longer than a search; the operations
are described for OpenAPI in their own words instead.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from streamrec.errors import StreamRecError
from streamrec.serving.live import LiveBundle
from streamrec.serving.metrics import Metrics
from streamrec.serving.pool import Pool
from streamrec.serving.problems import Problem, of_validation
from streamrec.serving.requests import Body
from streamrec.serving.served import Served
from streamrec.serving.settings import ServeConfig

log = logging.getLogger("streamrec.serving")
JSON = b"application/json"
OPERATION = "streamrec.operation"
"""Key of the scope that holds the path of the operation that answers."""
LONG_BODY = 65_536
"""Bytes from which on a body is read in a thread."""

BodyType = TypeVar("BodyType", bound=Body)


@dataclass(frozen=True)
class Service:
    """What operations share."""

    settings: ServeConfig
    live: LiveBundle
    pool: Pool
    metrics: Metrics
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Call:
    """A request."""

    service: Service
    scope: Scope
    receive: Receive

    @property
    def path(self) -> Mapping[str, str]:
        """Parameters of the path, decoded."""
        return self.scope["path_params"]  # type: ignore[no-any-return]

    @property
    def query(self) -> bytes:
        """The part of the URL after `?`."""
        return self.scope["query_string"]  # type: ignore[no-any-return]

    async def body(self, model: type[BodyType]) -> BodyType:
        """The checked body.

        Raises:
            Problem: it is too large, comes too slowly, is no JSON, or not what the model says.
        """
        parts = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "body: the connection ended before it was complete")
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        data = b"".join(parts)
        if len(data) <= LONG_BODY:
            return _checked(model, data)
        return await self.service.pool.run(lambda: _checked(model, data))


def _checked(model: type[BodyType], data: bytes) -> BodyType:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise of_validation(error) from None


@dataclass(frozen=True)
class Answer:
    """What is sent back, with status 200."""

    body: bytes
    kind: bytes = JSON


Handle = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Example:
    """A request that the bundle in use can answer."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Operation:
    """A method and path, what answers there, and how OpenAPI describes it."""

    method: str
    path: str
    handle: Handle
    answer: Mapping[str, Any]
    """JSON schema of a good answer."""
    body: type[Body] | None = None
    """What the request holds."""
    parameters: tuple[Mapping[str, Any], ...] = ()
    """Of path and query, as OpenAPI describes them; where there are none, a query is refused."""
    errors: tuple[int, ...] = ()
    """Statuses of its errors, beside those that every operation can have."""
    kind: str = "application/json"
    """Media type of a good answer."""
    examples: Callable[[Served], Mapping[str, Example]] = lambda served: {}
    """Requests by name, which are answered when the description is asked for."""


class Endpoint:
    """An operation of a service, as ASGI."""

    def __init__(self, operation: Operation, service: Service) -> None:
        self.operation = operation
        self._service = service
        self._reads_query = any(parameter["in"] == "query" for parameter in operation.parameters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[OPERATION] = self.operation.path
        try:
            if scope["query_string"] and not self._reads_query:
                raise Problem(422, "found a query, expected none", "see /openapi.json")
            answer = await self.operation.handle(Call(self._service, scope, receive))
        except Exception as error:
            problem = as_problem(error, self._service.live)
            await send_problem(problem, self._service.live, send)
        else:
            await send_answer(200, answer.kind, answer.body, send)


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
    await send_answer(problem.status, JSON, body, send, headers)


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
