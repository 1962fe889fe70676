from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from streamrec.errors import ConfigError
from streamrec.retrieval.bundle import Bundle
from streamrec.serving import problems
from streamrec.serving.auth import TOKENS, read_tokens
from streamrec.serving.limits import read_body
from streamrec.serving.settings import LimitsConfig

TOKEN = "0123456789abcdef-first"
SMALL = {"max_body_bytes": 1_024, "max_k": 5, "max_batch": 3, "max_history": 2}


def test_a_large_body_is_refused_by_its_length_and_in_chunks(start: Any, bundle: Bundle) -> None:
    client = start(bundle.path.parent, limits=SMALL)

    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    for content in (b" " * 1_025, chunks()):
        answer = client.post("/v1/search", content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert client.post("/v1/search", content=b" " * 1_024).status_code == 400


def test_limits_that_were_set_are_kept(start: Any, bundle: Bundle) -> None:
    client = start(bundle.path.parent, limits=SMALL)
    assert client.get("/v1/items/item-0001/neighbors?k=5").status_code == 200
    assert client.get("/v1/items/item-0001/neighbors?k=6").status_code == 422
    assert client.post("/v1/neighbors", json={"ids": ["item-0001"] * 4, "k": 1}).status_code == 422
    assert client.post("/v1/recommend", json={"history": ["item-0001"] * 3}).status_code == 422


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    async def never() -> Any:
        await asyncio.sleep(60)

    with pytest.raises(problems.Problem) as raised:
        asyncio.run(read_body({"headers": []}, never, LimitsConfig(request_seconds=0.01)))
    assert raised.value.status == 408


def test_a_search_that_takes_too_long_and_one_too_many_are_refused(
    start: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def wait(*arguments: Any, **names: Any) -> Any:
        begun.release()
        go_on.wait(60)

    monkeypatch.setattr("streamrec.retrieval.search.Searcher.nearest", wait)
    monkeypatch.setattr("streamrec.serving.neighbour_lists.NeighbourLists.start", lambda lists: None)
    client = start(bundle.path.parent, limits={"request_seconds": 2, "concurrency": 2})
    body, answers = {"ids": ["item-0001"]}, []

    def ask() -> None:
        answers.append(client.post("/v1/neighbors", json=body))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=60)
    assert begun.acquire(timeout=60)
    assert client.get("/v1/bundle").headers["retry-after"] == "1"
    assert client.get("/healthz").status_code == 200
    for thread in threads:
        thread.join()
    assert [answer.json()["error"]["code"] for answer in answers] == ["timeout", "timeout"]
    # Given up, not ended: both still have their places in the pool.
    assert client.post("/v1/neighbors", json=body).json()["error"]["code"] == "busy"
    assert client.get("/v1/items/item-0001/neighbors?k=18").status_code == 200
    go_on.set()


def test_only_requests_with_a_token_are_answered(
    start: Any, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text(f"# two teams\n{TOKEN}\n\n{TOKEN}-second\n")
    client = start(bundle.path.parent, token_file=tmp_path / "tokens")

    def status(path: str, header: str | None) -> int:
        return client.get(path, headers={} if header is None else {"authorization": header}).status_code

    for header in (None, "", "Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ü"):
        for path in ("/v1/bundle", "/metrics", "/openapi.json", "/nowhere", "/v1/explorer/map"):
            assert status(path, header if header is None else header.encode()) == 401, (path, header)
    assert status("/v1/bundle", f"Bearer {TOKEN}") == status("/v1/bundle", f"bearer {TOKEN}-second") == 200
    assert [status(path, None) for path in ("/healthz", "/readyz", "/")] == [200, 200, 200]
    refused = client.get("/v1/bundle")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["code"] == "unauthorized"


def test_tokens_come_from_the_environment_too(
    start: Any, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKENS, f"{TOKEN}, {TOKEN}-second")
    assert read_tokens(None) == (TOKEN, f"{TOKEN}-second")
    client: TestClient = start(bundle.path.parent)
    assert client.get("/v1/bundle").status_code == 401
    assert client.get("/v1/bundle", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found no token"),
        ("# nothing", "found no token"),
        ("short", "token 1 has 5 characters, expected at least 16"),
        (f"{TOKEN}\n{TOKEN} {TOKEN}", "token 2 has"),
        (None, "cannot read the tokens"),
    ],
)
def test_a_file_without_good_tokens_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "tokens").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_tokens(tmp_path / "tokens")
