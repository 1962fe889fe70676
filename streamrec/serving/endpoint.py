"""Operations: what answers at a path, what it is given, and how OpenAPI describes it.

FastAPI's own machinery (parameters, dependencies, response models) takes longer than a search, so operations
are plain functions of a `Call`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.types import Receive, Scope

from streamrec.serving.limits import read_body
from streamrec.serving.live import LiveBundle
from streamrec.serving.metrics import Metrics
from streamrec.serving.pool import Pool
from streamrec.serving.problems import of_validation
from streamrec.serving.requests import Body
from streamrec.serving.served import Served
from streamrec.serving.settings import ServeConfig

OPERATION = "streamrec.operation"
"""Key of the scope under which what is no operation tells the metrics its name."""
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
    """Those that OpenAPI describes."""


@dataclass(slots=True)
class Call:
    """A request."""

    service: Service
    scope: Scope
    receive: Receive
    path: Mapping[str, str]
    """Parameters of the path, decoded."""

    @property
    def query(self) -> bytes:
        """The part of the URL after `?`."""
        return self.scope["query_string"]  # type: ignore[no-any-return]

    async def body(self, model: type[BodyType]) -> BodyType:
        """The checked body.

        Raises:
            Problem: it is too large, comes too slowly, is no JSON, or not what the model says.
        """
        data = await read_body(self.scope, self.receive, self.service.settings.limits)
        if len(data) <= LONG_BODY:
            return _checked(model, data)
        return await self.service.pool.run(lambda: _checked(model, data))


def _checked(model: type[BodyType], data: bytes) -> BodyType:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise of_validation(error) from None


@dataclass(slots=True)
class Answer:
    """What is sent back, with status 200."""

    body: bytes
    kind: bytes = b"application/json"


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
    """A name in braces stands for anything, slashes too."""
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
