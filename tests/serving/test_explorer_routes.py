"""What the page asks for: whole, of one bundle, and never made twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundles import PlainEncoder, make_catalog, make_table, publish_small
from starlette.testclient import TestClient

from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import EMBEDDING, to_matrix
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish_samples import publish_samples, read_samples
from streamrec.serving.explorer.item_map import ItemMap
from streamrec.serving.explorer.maps import Maps
from streamrec.serving.served import Served

Start = Callable[..., TestClient]


def with_samples(root: Path) -> Bundle:
    rows = make_table(25, seed=8)
    vectors = PlainEncoder().encode(rows.combine_chunks().to_batches()[0])
    bundle = publish_small(root, make_catalog(root.parent / "items.parquet"), quality={"latent_purity": 0.5})
    return publish_samples(root, bundle, rows, vectors, "flow", ModelSource(), 1)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_samples(tmp_path_factory.mktemp("sampled") / "published")


@pytest.fixture(scope="module")
def page(sampled: Bundle, session_start: Start) -> TestClient:
    return session_start(sampled.path.parent)


def get(client: TestClient, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/explorer/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_map_is_described(page: TestClient, sampled: Bundle) -> None:
    found = get(page, "map")
    assert found["bundle"] == sampled.manifest.version
    assert (found["items"], found["points"], found["dimension"]) == (200, 200, 4)
    assert (found["id_column"], found["title_column"]) == ("id", "title")
    assert found["columns"][-1] == {"name": "tags", "kind": "labels"}
    assert found["samples"] == {"rows": 25, "family": "flow"}
    assert found["quality"] == {"latent_purity": 0.5}
    assert found["recommends"] is False


def test_points_ids_and_codes_are_of_the_same_items_in_the_same_order(
    page: TestClient, sampled: Bundle
) -> None:
    table = sampled.searcher.items.table
    points, column = get(page, "points"), get(page, "column", name="genre")
    first, second = get(page, "ids", start=0, count=150), get(page, "ids", start=150, count=150)
    assert first["ids"] + second["ids"] == table["id"].to_pylist()
    assert second["titles"][-1] == "Item 199"
    genres = [None if code < 0 else column["values"][code] for code in column["codes"]]
    assert genres == table["genre"].to_pylist()
    assert len(points["x"]) == len(points["y"]) == 200
    assert get(page, "ids", start=200)["ids"] == []


def test_labels_of_an_item_are_found_between_its_starts(page: TestClient, sampled: Bundle) -> None:
    found = get(page, "column", name="tags")
    spans = zip(found["starts"], found["starts"][1:], strict=False)
    labels = [[found["values"][code] for code in found["codes"][start:end]] for start, end in spans]
    assert labels == [cell or [] for cell in sampled.searcher.items.table["tags"].to_pylist()]


def test_items_and_vectors_are_placed(page: TestClient, sampled: Bundle) -> None:
    points = get(page, "points")
    by_id = page.post("/v1/explorer/places", json={"ids": ["item-0007", "item-0190"]}).json()
    assert by_id["points"] == [7, 190]
    assert by_id["x"] == [points["x"][7], points["x"][190]]
    vectors = sampled.searcher.index.vectors(np.array([7])).tolist()
    near = page.post("/v1/explorer/places", json={"vectors": vectors}).json()
    assert near["points"] == [-1]
    assert abs(near["x"][0] - points["x"][7]) < 0.25 * 65_535


def test_samples_are_told_with_features_and_vector(page: TestClient, sampled: Bundle) -> None:
    stored = read_samples(sampled)
    places, one = get(page, "samples"), get(page, "sample", row=3)
    assert (places["family"], len(places["x"])) == ("flow", 25)
    assert one["features"]["genre"] == stored["genre"][3].as_py()
    assert one["features"]["tags"] == stored["tags"][3].as_py()
    np.testing.assert_allclose(one["vector"], to_matrix(stored[EMBEDDING])[3], rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("column?name=nothing", 404, "no column 'nothing'"),
        ("column", 422, "name: expected once, found 0 times"),
        ("ids?start=-1", 422, "start: expected one whole number"),
        ("sample?row=25", 404, "no sample 25, the bundle has 25"),
        ("sample?row=1&row=2", 422, "row: expected one whole number"),
        ("map?more=1", 422, "query"),
    ],
)
def test_what_cannot_be_answered_is_said(page: TestClient, path: str, status: int, message: str) -> None:
    answer = page.get(f"/v1/explorer/{path}")
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ids": ["item-0001", "nobody"]}, 404),
        ({"vectors": [[1.0, 2.0]]}, 422),
        ({"vectors": []}, 422),
        ({"ids": ["item-0001"], "vectors": [[1.0, 2.0, 3.0, 4.0]]}, 422),
        ({}, 422),
        ({"ids": ["item-0001"] * 1_001}, 422),
    ],
)
def test_places_of_what_is_not_there_are_refused(page: TestClient, body: Any, status: int) -> None:
    assert page.post("/v1/explorer/places", json=body).status_code == status


def test_a_bundle_without_samples_says_so(client: TestClient) -> None:
    assert get(client, "map")["samples"] is None
    assert client.get("/v1/explorer/samples").json()["error"]["message"].endswith("no synthetic samples")


def test_a_new_bundle_has_a_map_of_its_own(tmp_path: Path, start: Start) -> None:
    root = tmp_path / "published"
    catalog = make_catalog(tmp_path / "items.parquet")
    old = publish_small(root, catalog)
    service = start(root)
    before = get(service, "points")
    new = publish_small(root, make_catalog(tmp_path / "more.parquet", make_table(90, seed=4)))
    end = time.monotonic() + 30
    while get(service, "map")["bundle"] == old.manifest.version:
        assert time.monotonic() < end, "the service never took the new bundle"
    after = get(service, "points")
    assert (before["bundle"], len(before["x"])) == (old.manifest.version, 200)
    assert (after["bundle"], len(after["x"])) == (new.manifest.version, 90)


def test_whoever_asks_at_once_waits_for_one_map(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    go = threading.Event()

    def make(of: Bundle) -> str:
        made.append(threading.current_thread().name)
        go.wait(30)
        return "map"

    monkeypatch.setattr(ItemMap, "of", make)

    async def ask() -> list[Any]:
        maps, served = Maps(), Served(bundle)
        waiting = [asyncio.create_task(maps.map(served)) for _ in range(5)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await asyncio.sleep(0)
        go.set()
        return [*await asyncio.gather(*waiting[1:]), await maps.map(served)]

    assert asyncio.run(ask()) == ["map"] * 5
    assert made == ["item-map"]


def test_a_map_that_failed_is_tried_again(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [BundleError("gone"), "map"]

    def make(of: Bundle) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(ItemMap, "of", make)

    async def ask() -> str:
        maps, served = Maps(), Served(bundle)
        with pytest.raises(BundleError, match="gone"):
            await maps.map(served)
        return str(await maps.map(served))

    assert asyncio.run(ask()) == "map"


def test_data_need_a_token_where_there_are_tokens_and_the_page_does_not(
    sampled: Bundle, start: Start, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-enough-characters\n")
    service = start(sampled.path.parent, token_file=tokens)
    home = service.get("/")
    assert home.status_code == 200
    assets = [part.split('"')[0] for part in home.text.split('"./assets/')[1:]]
    assert len(assets) == 3
    assert all(service.get(f"/assets/{name}").status_code == 200 for name in assets)
    assert service.get("/v1/explorer/map").status_code == 401
    allowed = {"authorization": "Bearer a-token-of-enough-characters"}
    assert service.get("/v1/explorer/map", headers=allowed).status_code == 200
