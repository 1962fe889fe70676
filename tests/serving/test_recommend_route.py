from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_bundles import make_catalog, publish_small
from starlette.testclient import TestClient

from streamrec.retrieval.bundle import Bundle


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/recommend", json=body)


def test_a_user_gets_what_the_bundle_recommends(client: TestClient, bundle: Bundle) -> None:
    for settings in ({}, {"exclude_seen": True}, {"where": {"genre": "war"}, "exclude_seen": True}):
        answer = ask(client, user="user-007", k=12, **settings).json()
        found = bundle.recommender.for_user("user-007", 12, **settings)
        assert [item["id"] for item in answer["items"]] == found.ids
        assert [item["score"] for item in answer["items"]] == pytest.approx(found.scores.tolist(), abs=1e-5)
        assert answer["bundle"] == bundle.manifest.version


def test_who_has_seen_nearly_everything_gets_what_is_left(client: TestClient) -> None:
    answer = ask(client, user="user-001", k=50, exclude_seen=True, features=True).json()
    assert {item["id"] for item in answer["items"]} == {f"item-{row:04d}" for row in (197, 198, 199)}
    assert answer["items"][0]["features"]["title"].startswith("Item ")


def test_many_users_get_what_each_gets_alone(client: TestClient) -> None:
    queries = [{"user": "user-003"}, {"user": "nobody"}, {"user": "user-000"}]
    results = ask(client, queries=queries, k=4, exclude_seen=True).json()["results"]
    assert results[0] == {"items": ask(client, user="user-003", k=4, exclude_seen=True).json()["items"]}
    assert results[1]["error"]["message"] == "no user 'nobody'"
    assert len(results[2]["items"]) == 4


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"user": "nobody"}, 404, "no user 'nobody'"),
        ({"user": 7}, 404, "no user 7"),
        ({"user": None}, 422, "expected one of user, history, user_features"),
        ({}, 422, "expected one of user, history, user_features; found none"),
        ({"user": "user-001", "history": ["item-0001"]}, 422, "found user and history"),
        ({"user": "user-001", "queries": [{"user": "user-001"}]}, 422, "found queries and user"),
        ({"history": []}, 422, "history"),
        ({"history": ["nothing", "neither"]}, 404, "history: the bundle has none of its 2 items"),
        ({"history": ["item-0001"] * 1001}, 422, "history: found 1001 items, expected at most 1000"),
        ({"queries": [{"user": "user-001"}] * 1001}, 422, "found 1001 queries, expected at most 1000"),
        ({"queries": [{"user": "user-001"}] * 200, "k": 501}, 422, "at most 100000 items in all"),
        ({"user": "user-001", "exclude_seen": 1}, 422, "exclude_seen: "),
        ({"user": "user-001", "where": {"tags": "t9"}}, 422, "no item has 't9' in 'tags'"),
    ],
)
def test_what_cannot_be_recommended_is_refused(
    client: TestClient, body: dict[str, Any], status: int, message: str
) -> None:
    answer = ask(client, **body)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_a_bundle_of_items_alone_says_what_to_do(start: Any, tmp_path: Path) -> None:
    publish_small(tmp_path / "b", make_catalog(tmp_path / "c.parquet"))
    answer = ask(start(tmp_path / "b"), user="user-001")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "no_towers"
    assert "streamrec retrieve" in answer.json()["error"]["hint"]
