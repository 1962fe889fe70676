from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from streamrec.retrieval.search import Searcher
from streamrec.serving.remembered import Remembered


def test_the_oldest_answers_are_forgotten_first() -> None:
    remembered = Remembered(10)
    for asked in ("a", "b", "a", "c"):
        remembered.keep(asked, b"1234")
    assert [remembered.get(asked) is not None for asked in "abc"] == [False, True, True]
    remembered.keep("d", b"0123456789x")
    assert [remembered.get(asked) for asked in "abcd"] == [None] * 4


def test_what_was_asked_before_is_not_searched_for_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[int, int]] = []
    original = Searcher.nearest_to

    def counting(self: Any, position: int, k: int) -> Any:
        searched.append((position, k))
        return original(self, position, k)

    monkeypatch.setattr(Searcher, "nearest_to", counting)
    path = "/v1/items/item-0077/neighbors"
    answers = [client.get(path + query).json() for query in ("?k=6", "?k=7", "?k=6", "?k=6&features=true")]
    assert searched == [(77, 6), (77, 7), (77, 6)]
    assert answers[0] == answers[2]
    assert len(answers[1]["items"]) == 7
    assert "features" in answers[3]["items"][0]
