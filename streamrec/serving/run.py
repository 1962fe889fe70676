"""`serve`: the service on a port, in one process or several."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import pyarrow as pa
import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG
from uvicorn.supervisors import Multiprocess

from streamrec.errors import BundleError, ConfigError
from streamrec.retrieval.bundle import resolve
from streamrec.serving.app import create_app
from streamrec.serving.auth import read_tokens
from streamrec.serving.settings import ServeConfig

SHUTDOWN_SECONDS = 10
"""Time that requests in progress get to end when the service stops."""
WORKER_SECONDS = 60
"""Time after which a worker that does not answer its parent is replaced; it starts within that too."""
BACKLOG = 2_048
"""Connections that may wait to be accepted."""


def serve(settings: ServeConfig) -> None:
    """Answer until told to stop (SIGINT, SIGTERM); requests in progress are answered first.

    Raises:
        BundleError: nothing is published, and it is not to be waited for.
        ConfigError: the address cannot be listened on; the tokens cannot be read.
    """
    read_tokens(settings.token_file)
    if not settings.wait:
        _check_published(settings)
    with ExitStack() as stack:
        listening = stack.enter_context(_listen(settings))
        config = uvicorn.Config(
            partial(_worker, settings),
            factory=True,
            host=settings.host,
            port=listening.getsockname()[1],
            workers=settings.workers,
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            log_config=_log_config(),
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            timeout_worker_healthcheck=WORKER_SECONDS,
        )
        if settings.workers == 1:
            uvicorn.Server(config).run(sockets=[listening])
            return
        shared = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamrec-metrics-"))
        # Read by prometheus_client when a worker imports it; workers are spawned, not forked.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
        Multiprocess(config, sockets=[listening]).run()


def _check_published(settings: ServeConfig) -> None:
    try:
        resolve(settings.bundle)
    except BundleError as error:
        raise BundleError(f"{error}, or start with --wait") from None


def _listen(settings: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{settings.host}:{settings.port}: cannot listen there: {error.strerror or error}; "
            "choose another --port or --host, or stop what has it"
        ) from None
    return listening


def _worker(settings: ServeConfig) -> FastAPI:
    """The application of one process; as a worker of several, it ends when their parent is gone."""
    # Arrow's own pool keeps what reading a bundle took for a moment, as much again as the bundle.
    pa.set_memory_pool(pa.system_memory_pool())
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    return create_app(settings)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _log_config() -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["streamrec"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
