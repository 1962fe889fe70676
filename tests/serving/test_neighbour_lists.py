from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.search import Searcher
from streamrec.serving import neighbour_lists
from streamrec.serving.neighbour_lists import LENGTH, NeighbourLists


def test_a_list_is_what_a_search_finds(bundle: Bundle) -> None:
    searcher = bundle.searcher
    lists = NeighbourLists(searcher)
    assert lists.of(0, 5) is None
    lists.fill()
    assert lists.known == bundle.manifest.rows
    for row in range(lists.known):
        known, found = lists.of(row, LENGTH), searcher.nearest_to(row, LENGTH)
        assert known is not None
        assert np.array_equal(known[0], found[0])
        assert known[1] == found[1]
    shorter = lists.of(7, 3)
    assert shorter is not None
    assert shorter[1] == searcher.nearest_to(7, LENGTH)[1][:3]
    assert lists.of(7, LENGTH + 1) is None


def test_filling_that_was_stopped_goes_on_where_it_was(bundle: Bundle) -> None:
    lists = NeighbourLists(bundle.searcher)
    lists.stop()
    lists.fill()
    assert lists.known == 0
    assert lists.of(0, 1) is None


@pytest.mark.parametrize("bound", ["MAX_BYTES", "MAX_PRODUCTS"])
def test_a_catalogue_that_would_take_too_much_gets_none(
    bundle: Bundle, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbour_lists, bound, 1_000)
    lists = NeighbourLists(bundle.searcher)
    lists.fill()
    assert lists.of(0, 1) is None


def test_the_service_answers_without_a_search_once_lists_are_known(
    bundle: Bundle, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: TestClient = start(bundle.path.parent)
    path = "/v1/items/item-0077/neighbors?k=6"
    monkeypatch.setattr(NeighbourLists, "of", lambda *_: None)
    searched = client.get(path).json()
    monkeypatch.undo()
    end = time.monotonic() + 60
    while (
        f"streamrec_bundle_neighbours_known {float(bundle.manifest.rows)}" not in client.get("/metrics").text
    ):
        assert time.monotonic() < end
    monkeypatch.setattr(Searcher, "nearest_to", None)
    monkeypatch.setattr(Searcher, "nearest", None)
    assert client.get(path).json() == searched
