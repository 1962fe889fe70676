from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundles import PlainEncoder, make_catalog, make_table, publish_small, unit
from starlette.testclient import TestClient

from streamrec.retrieval.bundle import Bundle

TABLE = make_table()
LATENTS = unit(PlainEncoder().encode(TABLE.combine_chunks().to_batches()[0]))
COSINES = LATENTS @ LATENTS.T


def test_neighbours_are_those_with_the_highest_cosines(client: TestClient, bundle: Bundle) -> None:
    for row in (0, 7, 199):
        answer = client.get(f"/v1/items/item-{row:04d}/neighbors").json()
        cosines = np.where(np.arange(200) == row, -np.inf, COSINES[row])
        assert answer["bundle"] == bundle.manifest.version
        assert answer["id"] == f"item-{row:04d}"
        assert [item["id"] for item in answer["items"]] == [
            f"item-{other:04d}" for other in np.argsort(-cosines)[:10]
        ]
        scores = [item["score"] for item in answer["items"]]
        np.testing.assert_allclose(scores, -np.sort(-cosines)[:10], atol=1e-5)


@pytest.mark.parametrize("index", ["flat", "ivf"])
@pytest.mark.parametrize("k", [1, 198, 199, 200, 900])
def test_more_neighbours_than_there_are_gives_all_others(
    start: Any, tmp_path: Path, index: str, k: int
) -> None:
    publish_small(tmp_path / "b", make_catalog(tmp_path / "c.parquet"), index=index, min_recall=0.1)
    items = start(tmp_path / "b").get(f"/v1/items/item-0003/neighbors?k={k}").json()["items"]
    assert len({item["id"] for item in items} - {"item-0003"}) == len(items) == min(k, 199)


def test_a_filter_keeps_what_matches_and_features_come_on_request(client: TestClient) -> None:
    found = client.get(
        "/v1/items/item-0007/neighbors",
        params={"k": 5, "where": ["genre=war", "genre=jazz", "adult=true", "year=1993"], "features": "true"},
    ).json()["items"]
    assert found
    for item in found:
        assert item["features"]["genre"] in ("war", "jazz")
        assert item["features"]["adult"] is True
        assert item["features"]["year"] == 1993
    row = int(found[0]["id"].removeprefix("item-"))
    assert found[0]["features"] == {
        "genre": TABLE["genre"][row].as_py(),
        "year": 1993,
        "adult": True,
        "tags": TABLE["tags"][row].as_py(),
        "added": TABLE["added"][row].as_py().isoformat(),
        "title": f"Item {row}",
    }


def test_an_item_has_its_features_and_a_vector_of_length_one(client: TestClient) -> None:
    answer = client.get("/v1/items/item-0011").json()
    assert answer["features"]["genre"] is None
    assert answer["features"]["title"] == "Item 11"
    np.testing.assert_allclose(answer["vector"], LATENTS[11], atol=1e-5)


def test_many_items_get_what_each_gets_alone(client: TestClient) -> None:
    ids = ["item-0003", "item-0199", "nothing", "item-0003"]
    where = {"genre": ["war", "drama"]}
    answer = client.post("/v1/neighbors", json={"ids": ids, "k": 4, "where": where}).json()
    alone = client.get(
        "/v1/items/item-0003/neighbors", params={"k": 4, "where": ["genre=war", "genre=drama"]}
    )
    assert [one["id"] for one in answer["results"]] == ids
    assert answer["results"][0]["items"] == answer["results"][3]["items"] == alone.json()["items"]
    assert answer["results"][2]["error"]["code"] == "not_found"
    every = client.post("/v1/neighbors", json={"ids": ["item-0001", "item-0002"]}).json()["results"]
    for one in every:
        got = client.get(f"/v1/items/{one['id']}/neighbors").json()["items"]
        assert [item["id"] for item in got] == [item["id"] for item in one["items"]]


def test_ids_may_hold_anything(start: Any, tmp_path: Path) -> None:
    names = ["a/b", "ü ?#%", "..", "x/neighbors", "7"]
    table = make_table(5)
    catalog = make_catalog(tmp_path / "c.parquet", table.set_column(0, "id", [names]))
    publish_small(tmp_path / "b", catalog)
    client = start(tmp_path / "b")
    for path, name in (("a%2Fb", "a/b"), ("%C3%BC%20%3F%23%25", "ü ?#%"), ("7", "7")):
        assert client.get(f"/v1/items/{path}").json()["id"] == name
        assert client.get(f"/v1/items/{path}/neighbors?k=2").json()["id"] == name
    found = client.post("/v1/neighbors", json={"ids": names, "k": 1}).json()["results"]
    assert [one["id"] for one in found] == names
    assert all("items" in one for one in found)


def test_integer_ids_stay_integers(start: Any, tmp_path: Path) -> None:
    from small_bundles import make_table

    catalog = make_catalog(tmp_path / "c.parquet", make_table(text_ids=False))
    publish_small(tmp_path / "b", catalog)
    client = start(tmp_path / "b")
    answer = client.get("/v1/items/17/neighbors?k=1").json()
    assert answer["id"] == 17
    assert isinstance(answer["items"][0]["id"], int)
    both = client.post("/v1/neighbors", json={"ids": [17, "17", "x"], "k": 1}).json()["results"]
    assert both[0] == both[1]
    assert both[2]["id"] == "x"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/items/nothing", 404, "no item 'nothing'"),
        ("/v1/items/nothing/neighbors", 404, "no item 'nothing'"),
        ("/v1/items//neighbors", 404, "no item ''"),
        ("/v1/items/%FF%FE", 404, "no item"),
        ("/v1/items/" + "x" * 9_000, 404, "no item"),
        ("/v1/items/item-0001?k=3", 422, "found a query"),
        ("/v1/items/item-0001/neighbors?k=0", 422, "k: expected a whole number from 1, found '0'"),
        ("/v1/items/item-0001/neighbors?k=-1", 422, "k: expected"),
        ("/v1/items/item-0001/neighbors?k=1e3", 422, "k: expected"),
        ("/v1/items/item-0001/neighbors?k=٣", 422, "k: expected"),
        ("/v1/items/item-0001/neighbors?k=" + "9" * 5000, 422, "more than 1024 characters"),
        ("/v1/items/item-0001/neighbors?k=1001", 422, "k: found 1001, expected at most 1000"),
        ("/v1/items/item-0001/neighbors?k=1&k=2", 422, "k: expected once"),
        ("/v1/items/item-0001/neighbors?K=1", 422, "K: no such parameter"),
        ("/v1/items/item-0001/neighbors?features=1", 422, "features: expected true or false"),
        ("/v1/items/item-0001/neighbors?where=genre", 422, "where: expected column=value"),
        ("/v1/items/item-0001/neighbors?where=gender=war", 422, "cannot filter by 'gender'; did you mean"),
        ("/v1/items/item-0001/neighbors?where=genre=opera", 422, "no item has 'opera' in 'genre'"),
        ("/v1/items/item-0001/neighbors?where=year=199x", 422, "no item has '199x' in 'year'"),
        ("/v1/items/item-0001/neighbors?" + "where=a=b&" * 300, 422, "at most 200 parameters"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    client: TestClient, bundle: Bundle, path: str, status: int, message: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    content = answer.json()
    assert message in content["error"]["message"]
    assert content["bundle"] == bundle.manifest.version
    assert str(bundle.path) not in answer.text
