from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_bundles import make_table
from starlette.testclient import TestClient
from test_item_routes import LATENTS

GENRE = np.array([genre or "" for genre in make_table()["genre"].to_pylist()])


def best(vector: Any, k: int, allowed: Any = True) -> list[str]:
    cosines = np.where(allowed, LATENTS @ np.asarray(vector, float), -np.inf)
    return [f"item-{row:04d}" for row in np.argsort(-cosines)[:k]]


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_a_vector_finds_what_points_its_way_whatever_its_length(client: TestClient) -> None:
    vector = np.array([0.3, -1.2, 0.5, 2.0])
    for scale in (1.0, 1e-310, 1e300):
        answer = client.post("/v1/search", json={"vector": (vector * scale).tolist(), "k": 6}).json()
        assert ids(answer["items"]) == best(vector, 6)
    assert abs(answer["items"][0]["score"]) <= 1


def test_many_searches_get_what_each_gets_alone(client: TestClient) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4)).tolist()
    body = {"queries": [{"vector": vector} for vector in vectors], "k": 5}
    for where in (None, {"genre": "war"}, {"genre": ["war", "jazz"], "year": 1993}):
        many = client.post("/v1/search", json=body | {"where": where}).json()["results"]
        for vector, found in zip(vectors, many, strict=True):
            alone = client.post("/v1/search", json={"vector": vector, "k": 5, "where": where}).json()["items"]
            assert ids(found["items"]) == ids(alone)
    assert ids(client.post("/v1/search", json=body).json()["results"][3]["items"]) == best(vectors[3], 5)


def test_a_filter_leaves_out_what_does_not_match(client: TestClient) -> None:
    body = {"vector": [1, 0, 0, 0], "k": 7, "where": {"genre": ["war", "jazz"]}, "features": True}
    items = client.post("/v1/search", json=body).json()["items"]
    assert ids(items) == best([1, 0, 0, 0], 7, np.isin(GENRE, ["war", "jazz"]))
    assert {item["features"]["genre"] for item in items} <= {"war", "jazz"}


def test_a_vector_of_zeros_has_no_direction(client: TestClient) -> None:
    items = client.post("/v1/search", json={"vector": [0, 0, 0, 0], "k": 2}).json()["items"]
    assert [item["score"] for item in items] == [0, 0]


VECTOR = "[1, 2, 3, 4]"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 400, "body: "),
        ("{", 400, "body: "),
        ("[" * 100_000, 400, "body: "),
        ('{"vector": [1, 2, 3, 4], "item": "\ud800"}', 400, "body: "),
        ("null", 422, "body: "),
        ("[]", 422, "body: "),
        ("{}", 422, "expected one of vector, item, queries; found none"),
        (f'{{"vector": {VECTOR}, "item": {{"a": 1}}}}', 422, "found vector and item"),
        ('{"vector": [1, 2, 3]}', 422, "vector: found 3 numbers, expected 4"),
        ('{"queries": [{"vector": [1, 2, 3, 4]}, {"vector": []}]}', 422, "queries.1.vector"),
        ('{"queries": [{"vector": [1, 2, 3, 4]}, {"vector": [1]}]}', 422, "queries.1.vector: found 1 number"),
        ('{"queries": []}', 422, "queries: "),
        ('{"queries": [{}]}', 422, "queries.0: expected one of vector, item"),
        ('{"vector": [NaN, 2, 3, 4]}', 422, "finite"),
        ('{"vector": [1e999, 2, 3, 4]}', 422, "finite"),
        (f'{{"vector": [{"9" * 400}, 2, 3, 4]}}', 422, "vector.0"),
        ('{"vector": ["1", 2, 3, 4]}', 422, "vector.0: Input should be a valid number"),
        ('{"vector": [true, 2, 3, 4]}', 422, "vector.0: Input should be a valid number"),
        (f'{{"vector": {VECTOR}, "k": 0}}', 422, "k: Input should be greater"),
        (f'{{"vector": {VECTOR}, "k": "3"}}', 422, "k: Input should be a valid integer"),
        (f'{{"vector": {VECTOR}, "k": 1.5}}', 422, "k: Input should be a valid integer"),
        (f'{{"vector": {VECTOR}, "k": {"9" * 300}}}', 422, "k: "),
        (f'{{"vector": {VECTOR}, "k": 1001}}', 422, "k: found 1001, expected at most 1000"),
        (f'{{"vector": {VECTOR}, "n": 1}}', 422, "n: no such field"),
        (f'{{"vector": {VECTOR}, "where": {{"genre": []}}}}', 422, "where.genre"),
        (f'{{"vector": {VECTOR}, "where": {{"genre": 1.5}}}}', 422, "where.genre"),
        (f'{{"vector": {VECTOR}, "where": {{"genre": "opera"}}}}', 422, "no item has 'opera' in 'genre'"),
        (f'{{"vector": {VECTOR}, "where": {{"a": "1"}}}}', 422, "cannot filter by 'a'"),
        (f'{{"vector": {VECTOR}, "where": {{"genre": "{"x" * 2000}"}}}}', 422, "at most 1024 characters"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    client: TestClient, body: str, status: int, message: str
) -> None:
    answer = client.post("/v1/search", content=body.encode("utf-8", "surrogatepass"))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert message in answer.json()["error"]["message"]


def test_a_body_with_very_many_faults_is_refused_at_the_first(client: TestClient) -> None:
    answer = client.post("/v1/search", content=b'{"vector": [' + b"null," * 1_000_000 + b"1]}")
    assert answer.json()["error"]["message"].startswith("vector.0: ")
