"""`create_app`: the service as an ASGI application."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamrec.retrieval.index import use_threads
from streamrec.serving.auth import Authorised, read_tokens
from streamrec.serving.endpoint import OPERATION, Endpoint, Operation, Service
from streamrec.serving.explorer.routes import explorer_routes
from streamrec.serving.limits import Limited
from streamrec.serving.live import LiveBundle
from streamrec.serving.metrics import Measured, Metrics
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


def create_app(settings: ServeConfig) -> FastAPI:
    """The service; its bundle is read when it starts, and followed until it stops.

    Raises:
        ConfigError: the tokens cannot be read.
    """
    metrics = Metrics()
    live = LiveBundle(settings.bundle, settings.poll_seconds, metrics.watch)
    pool = Pool(settings.limits.concurrency, settings.workers)
    service = Service(settings, live, pool, metrics, OPERATIONS)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # The event loop answers short searches itself: a second processor would cost more than it gives.
        use_threads(1)
        await asyncio.to_thread(live.refresh)
        live.start()
        # What lives as long as the process need not be searched for garbage between two requests.
        gc.collect()
        gc.freeze()
        yield
        live.stop()
        pool.close()

    app = FastAPI(
        title="StreamRec", lifespan=lifespan, openapi_url=None, redirect_slashes=False, docs_url=None
    )
    app.state.service = service
    app.openapi = lambda: asyncio.run(document(service))  # type: ignore[method-assign]
    for operation in OPERATIONS:
        path = operation.path.replace("{item_id}", "{item_id:path}")
        app.router.routes.append(Route(path, Endpoint(operation, service), methods=[operation.method]))
    app.router.routes.extend(explorer_routes(service))
    app.add_exception_handler(HTTPException, _unrouted(live))
    app.add_middleware(Limited, limits=settings.limits, live=live)
    app.add_middleware(Authorised, tokens=read_tokens(settings.token_file), live=live)
    app.add_middleware(Measured, metrics=metrics, key=OPERATION)
    return app


def _unrouted(live: LiveBundle) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers where no operation does: an unknown path, or another method."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            problem = Problem(405, f"{request.method} is not answered here", headers=error.headers)
        else:
            problem = Problem(404, "no such path", "see /openapi.json for the paths", code="no_such_path")
        served = live.state.served
        body = problem.body(None if served is None else served.version)
        return Response(body, problem.status, problem.headers, "application/json")

    return answer
