"""The client alone, against prepared answers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_service import BREAK, fake_service

from streamrec import client as client_module
from streamrec.client import Client, Found, Hit, Item, ServiceError

ONE = {"bundle": "v1", "id": "a", "items": [{"id": "b", "score": 0.5}, {"id": 7, "score": -0.25}]}
MANY = {
    "bundle": "v1",
    "results": [
        {"id": "a", "items": [{"id": "b", "score": 0.5, "features": {"genre": "war"}}]},
        {"id": "x", "error": {"code": "not_found", "message": "no item 'x'", "hint": "look again"}},
    ],
}
BUSY = {"error": {"code": "busy", "message": "too many requests", "hint": "try again"}, "bundle": None}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr(client_module.time, "sleep", slept.append)
    return slept


def test_neighbours_are_asked_by_path_and_query_and_answered_typed() -> None:
    with fake_service((200, ONE, {})) as service, Client(service.url) as client:
        found = client.neighbours("a/b c?", k=2, where={"genre": ["war", "jazz"], "adult": True})
    assert found == Found("v1", [Hit("b", 0.5), Hit(7, -0.25)])
    assert found.ids == ["b", 7]
    method, path, body, headers = service.asked[0]
    assert (method, body) == ("GET", None)
    expected = "/v1/items/a%2Fb%20c%3F/neighbors?k=2&where=genre%3Dwar&where=genre%3Djazz&where=adult%3Dtrue"
    assert path == expected
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("ask", "path", "body"),
    [
        (
            lambda c: c.neighbours_of_many(("a", 7), where={"genre": "war"}, features=True),
            "/v1/neighbors",
            {"ids": ["a", 7], "k": 10, "features": True, "where": {"genre": "war"}},
        ),
        (
            lambda c: c.search_many(np.array([[0.5, 2]], dtype=np.float32), [{"n": None}], k=3),
            "/v1/search",
            {"queries": [{"vector": [0.5, 2.0]}, {"item": {"n": None}}], "k": 3, "features": False},
        ),
        (
            lambda c: c.recommend_many([{"user": "u"}, {"history": ["a"]}], exclude_seen=True),
            "/v1/recommend",
            {
                "queries": [{"user": "u"}, {"history": ["a"]}],
                "exclude_seen": True,
                "k": 10,
                "features": False,
            },
        ),
    ],
)
def test_an_answer_to_many_queries_keeps_the_errors_among_them(
    ask: Callable[[Client], Any], path: str, body: dict[str, Any]
) -> None:
    with fake_service((200, MANY, {})) as service, Client(service.url) as client:
        found = ask(client)
    assert service.asked[0][:3] == ("POST", path, body)
    assert found.bundle == "v1"
    assert found.results[0] == Found("v1", [Hit("b", 0.5, {"genre": "war"})])
    error = found.results[1]
    assert (error.code, error.message, error.status, error.hint) == (
        "not_found",
        "no item 'x'",
        None,
        "look again",
    )


@pytest.mark.parametrize(
    ("ask", "path", "body"),
    [
        (lambda c: c.search(np.ones(2, np.float32)), "/v1/search", {"vector": [1.0, 1.0]}),
        (lambda c: c.search(item={"genre": "war"}), "/v1/search", {"item": {"genre": "war"}}),
        (lambda c: c.recommend(user=7), "/v1/recommend", {"user": 7, "exclude_seen": False}),
        (
            lambda c: c.recommend(history=["a"], user_features={"age": 3}, exclude_seen=True),
            "/v1/recommend",
            {"history": ["a"], "user_features": {"age": 3}, "exclude_seen": True},
        ),
    ],
)
def test_one_query_is_sent_without_what_was_not_given(
    ask: Callable[[Client], Any], path: str, body: dict[str, Any]
) -> None:
    answer = {**ONE, "unknown_items": ["gone"]}
    with fake_service((200, answer, {})) as service, Client(service.url) as client:
        found = ask(client)
    assert service.asked[0][:3] == ("POST", path, {**body, "k": 10, "features": False})
    assert found == Found("v1", [Hit("b", 0.5), Hit(7, -0.25)], ["gone"])


def test_items_and_the_bundle_are_described_and_new_fields_ignored() -> None:
    item = {"bundle": "v1", "id": 7, "features": {"genre": None}, "vector": [0.6, 0.8], "new": 1}
    bundle = {"bundle": "v1", "manifest": {"rows": 3}, "new": 1}
    with (
        fake_service((200, item, {}), (200, bundle, {})) as service,
        Client(service.url, token="secret") as client,
    ):
        assert client.item(7) == Item("v1", 7, {"genre": None}, [0.6, 0.8])
        assert client.bundle().manifest == {"rows": 3}
    assert [asked[1] for asked in service.asked] == ["/v1/items/7", "/v1/bundle"]
    assert service.asked[0][3]["authorization"] == "Bearer secret"


def test_a_refusal_is_an_error_with_code_status_and_hint_and_is_not_repeated(waits: list[float]) -> None:
    content = {"error": {"code": "not_found", "message": "no item 'x'"}, "bundle": "v1"}
    with (
        fake_service((404, content, {})) as service,
        Client(service.url) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.item("x")
    assert str(caught.value) == "no item 'x'"
    assert (caught.value.code, caught.value.status, caught.value.hint) == ("not_found", 404, None)
    assert len(service.asked) == 1
    assert waits == []


def test_a_busy_service_and_broken_connections_are_asked_again_ever_later(waits: list[float]) -> None:
    answers = (BREAK, (503, BUSY, {"retry-after": "2"}), (503, BUSY, {}), (200, ONE, {}))
    with fake_service(*answers) as service, Client(service.url) as client:
        assert len(client.neighbours("a").items) == 2
    assert waits == [0.1, 2.0, 0.4]
    assert len(service.asked) == 4


def test_it_gives_up_after_three_more_attempts(waits: list[float]) -> None:
    with (
        fake_service((503, BUSY, {})) as service,
        Client(service.url) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.bundle()
    assert (caught.value.code, caught.value.status) == ("busy", 503)
    assert str(caught.value) == "too many requests; try again"
    assert len(service.asked) == 4
    with Client(service.url) as client, pytest.raises(ServiceError, match=service.url) as caught:
        client.bundle()
    assert (caught.value.code, caught.value.status) == ("unreachable", None)
    assert waits == [0.1, 0.2, 0.4] * 2


def test_an_answer_of_something_else_is_named(waits: list[float]) -> None:
    with (
        fake_service((502, b"<html>Bad Gateway", {})) as service,
        Client(service.url) as client,
        pytest.raises(ServiceError, match="Bad Gateway") as caught,
    ):
        client.bundle()
    assert (caught.value.code, caught.value.status) == ("unexpected", 502)


def test_what_comes_too_late_is_not_asked_again(waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.05) as client, pytest.raises(ServiceError) as caught:
            client.bundle()
    assert (caught.value.code, caught.value.status) == ("timeout", None)
    assert waits == []


def test_the_client_needs_httpx_and_nothing_else_of_the_package() -> None:
    code = (
        "import sys, streamrec.client\n"
        "print([n for n in sys.modules if n.startswith('streamrec.') and n != 'streamrec.client'], "
        "[n for n in ('torch', 'faiss', 'numpy', 'pyarrow', 'pydantic', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
