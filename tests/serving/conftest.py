"""A service in this process over the small bundles of tests/retrieval."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "retrieval"))

from small_bundles import make_catalog
from small_towers import publish_with_towers

from streamrec.retrieval.bundle import Bundle
from streamrec.serving.app import create_app
from streamrec.serving.settings import ServeConfig

Start = Callable[..., TestClient]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """200 items, 60 users; to be read only."""
    folder = tmp_path_factory.mktemp("served")
    return publish_with_towers(folder, make_catalog(folder / "catalog.parquet"))


@pytest.fixture(scope="session")
def session_start() -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda root, **settings: stack.enter_context(_client(root, settings))


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(root, **settings)`: a client of a service that ends with the test."""
    with ExitStack() as stack:
        yield lambda root, **settings: stack.enter_context(_client(root, settings))


@pytest.fixture(scope="session")
def client(bundle: Bundle, session_start: Start) -> TestClient:
    """A client of a service over `bundle`."""
    return session_start(bundle.path.parent)


def _client(root: Path, settings: dict[str, Any]) -> TestClient:
    config = ServeConfig.model_validate({"bundle": root, "poll_seconds": 0.02, **settings})
    return TestClient(create_app(config), raise_server_exceptions=False)
