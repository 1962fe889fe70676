from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from streamrec.retrieval.search import Searcher
from streamrec.serving.neighbour_lists import NeighbourLists
from streamrec.serving.remembered import Remembered


def test_what_is_given_twice_is_kept_and_the_oldest_forgotten_first() -> None:
    remembered = Remembered(10)
    for asked in (1, 2, 3):
        remembered.keep(asked, b"1234")
        assert remembered.get(asked) is None
        remembered.keep(asked, b"1234")
        remembered.keep(asked, b"1234")
    assert [remembered.get(asked) is not None for asked in (1, 2, 3)] == [False, True, True]
    for _ in range(2):
        remembered.keep(4, b"0123456789x")
    assert [remembered.get(asked) for asked in (1, 2, 3, 4)] == [None] * 4


def test_what_is_asked_again_and_again_is_not_searched_for_each_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[int, int]] = []
    original = Searcher.nearest_to

    def counting(self: Any, position: int, k: int) -> Any:
        searched.append((position, k))
        return original(self, position, k)

    monkeypatch.setattr(Searcher, "nearest_to", counting)
    monkeypatch.setattr(NeighbourLists, "of", lambda *_: None)
    path = "/v1/items/item-0077/neighbors"
    queries = ["?k=6", "?k=6", "?k=6", "?k=6", "?k=7", "?k=6&features=true"]
    answers = [client.get(path + query).json() for query in queries]
    assert searched == [(77, 6), (77, 6), (77, 7), (77, 6)]
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert len(answers[4]["items"]) == 7
    assert "features" in answers[5]["items"][0]
