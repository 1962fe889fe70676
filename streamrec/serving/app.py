"""`create_app`: the service as an ASGI application."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streamrec.retrieval.index import use_threads
from streamrec.serving.auth import Tokens, read_tokens
from streamrec.serving.endpoint import Operation, Service
from streamrec.serving.explorer.page import Page
from streamrec.serving.explorer.routes import Explorer
from streamrec.serving.front import Front
from streamrec.serving.live import LiveBundle
from streamrec.serving.metrics import Metrics
from streamrec.serving.openapi import document
from streamrec.serving.pool import Pool
from streamrec.serving.problems import Problem
from streamrec.serving.routes import bundle, items, recommend, search
from streamrec.serving.settings import ServeConfig

OPERATIONS: tuple[Operation, ...] = (
    *items.OPERATIONS,
    *search.OPERATIONS,
    *recommend.OPERATIONS,
    *bundle.OPERATIONS,
)


class ServiceApp(FastAPI):
    """An application whose requests come in at a `Front`; it holds the page itself."""

    def __init__(self, service: Service, operations: tuple[Operation, ...], tokens: Tokens) -> None:
        super().__init__(
            title="StreamRec", lifespan=_lifespan, openapi_url=None, docs_url=None, redirect_slashes=False
        )
        self.state.service = service
        self.add_exception_handler(HTTPException, _unrouted)
        self.router.routes.extend(Page().routes)
        self._front = Front(service, operations, tokens, super().__call__)

    def openapi(self) -> dict[str, object]:
        """The description of the operations."""
        return asyncio.run(document(self.state.service))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._front(scope, receive, send)


def create_app(settings: ServeConfig) -> FastAPI:
    """The service; its bundle is read when it starts, and followed until it stops.

    Raises:
        ConfigError: the tokens cannot be read.
    """
    limits, metrics = settings.limits, Metrics()
    live = LiveBundle(settings.bundle, settings.poll_seconds, metrics.watch)
    pool = Pool(limits.concurrency, limits.request_seconds, settings.workers)
    service = Service(settings, live, pool, metrics, OPERATIONS)
    tokens = Tokens(read_tokens(settings.token_file))
    return ServiceApp(service, (*OPERATIONS, *Explorer().operations), tokens)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    # The event loop answers short searches itself: a second processor would cost more than it gives.
    use_threads(1)
    await asyncio.to_thread(service.live.refresh)
    service.live.start()
    # What lives as long as the process need not be searched for garbage between two requests.
    gc.collect()
    gc.freeze()
    yield
    service.live.stop()
    service.pool.close()


async def _unrouted(request: Request, error: Exception) -> Response:
    """The answer where nothing does."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        problem = Problem(405, f"{request.method[:20]} is not answered here", headers=error.headers)
    else:
        problem = Problem(404, "no such path", "see /openapi.json for the paths", code="no_such_path")
    served = request.app.state.service.live.state.served
    body = problem.body(None if served is None else served.version)
    return Response(body, problem.status, problem.headers, "application/json")
