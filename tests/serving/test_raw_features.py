"""Vectors that the bundle's own models make of raw features; the models are real, the towers plain."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from small_bundles import SCHEMA, make_catalog, make_table
from small_towers import MODEL, PlainTowers, make_towers
from starlette.testclient import TestClient

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, PublishConfig
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.schema import FeatureSchema

USER_SCHEMA = FeatureSchema(item_id="user_id", categorical=("country",), numeric=("age",))


class TowersWithFeatures(PlainTowers):
    """A user's features move the vector along its first entries."""

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        vectors = super().user_vectors(histories, latents, features, ids)
        if user_features is not None:
            vectors[:, :3] += user_features[:, :3]
        return vectors


@dataclass(frozen=True)
class World:
    bundle: Bundle
    encoder: ItemEncoder
    users: FeatureCodec


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("raw")
    catalog = make_catalog(folder / "catalog.parquet")
    codec = FeatureCodec.fit(catalog.table(), SCHEMA, CodecConfig())
    torch.manual_seed(0)
    encoder = ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(16,))))
    items = publish(folder / "published", catalog, encoder, PublishConfig(), seed=0)
    people = pa.table({"country": ["de", "fr", "de"], "age": [20.0, 30.0, 70.0]})
    users = FeatureCodec.fit(people, USER_SCHEMA, CodecConfig())
    make_towers(folder / "towers", items, towers=TowersWithFeatures(), user_codec=users)
    bundle = publish_towers(folder / "published", items, folder / "towers", model=MODEL)
    patch = pytest.MonkeyPatch()
    patch.setattr("streamrec.retrieval.tower_encoder.load_towers", TowersWithFeatures.load)
    yield World(bundle, encoder, users)
    patch.undo()


@pytest.fixture(scope="module")
def raw_client(world: World, session_start: Any) -> TestClient:
    return session_start(world.bundle.path.parent, limits={"request_seconds": 60})


def row_of(number: int) -> dict[str, Any]:
    row = make_table().slice(number, 1).to_pylist()[0]
    return {name: row[name] for name in SCHEMA.feature_columns}


def test_an_item_by_its_features_is_found_at_its_own_vector(raw_client: TestClient) -> None:
    rows = [row_of(number) for number in (3, 7, 150)]
    many = raw_client.post("/v1/search", json={"queries": [{"item": row} for row in rows], "k": 3})
    assert many.status_code == 200, many.text
    for number, row, found in zip((3, 7, 150), rows, many.json()["results"], strict=True):
        assert found["items"][0]["id"] == f"item-{number:04d}"
        assert found["items"][0]["score"] == pytest.approx(1, abs=1e-5)
        assert raw_client.post("/v1/search", json={"item": row, "k": 3}).json()["items"] == found["items"]


def test_features_left_out_are_missing_ones(raw_client: TestClient, world: World) -> None:
    found = raw_client.post("/v1/search", json={"item": {"genre": "war", "a": 2}, "k": 4}).json()["items"]
    row = {name: None for name in SCHEMA.feature_columns} | {"genre": "war", "a": 2.0}
    vector = world.encoder.encode(pa.table({name: [value] for name, value in row.items()}))
    expected = world.bundle.search(vector, 4)[0]
    assert [item["id"] for item in found] == expected.ids
    mixed = {"queries": [{"vector": vector[0].tolist()}, {"item": {"genre": "war", "a": 2}}], "k": 4}
    first, second = raw_client.post("/v1/search", json=mixed).json()["results"]
    assert [item["id"] for item in first["items"]] == [item["id"] for item in second["items"]]


def test_somebody_unknown_is_recommended_to_by_history(raw_client: TestClient, world: World) -> None:
    history = ["item-0003", "gone", "item-0017", "item-0003"]
    body = {"history": history, "k": 6, "exclude_seen": True}
    answer = raw_client.post("/v1/recommend", json=body).json()
    rows, recommender = np.array([3, 17]), world.bundle.recommender
    vector = recommender.towers.item_index.vectors(rows).mean(0, keepdims=True)
    ids = [one for one in recommender.for_vectors(vector, 8)[0].ids if one not in history][:6]
    assert [item["id"] for item in answer["items"]] == ids
    assert answer["unknown_items"] == ["gone"]
    queries = {"queries": [{"history": history}, {"user": "user-003"}, {"history": ["gone"]}]}
    many = raw_client.post("/v1/recommend", json=queries | {"k": 6, "exclude_seen": True}).json()["results"]
    assert many[0] == {"items": answer["items"], "unknown_items": ["gone"]}
    assert (
        many[1]["items"]
        == (
            raw_client.post("/v1/recommend", json={"user": "user-003", "k": 6, "exclude_seen": True}).json()[
                "items"
            ]
        )
    )
    assert many[2]["error"]["code"] == "not_found"


def test_features_of_a_user_count_with_and_without_a_history(raw_client: TestClient) -> None:
    def ids(**body: Any) -> list[str]:
        answer = raw_client.post("/v1/recommend", json=body | {"k": 20})
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    young, old = ids(user_features={"age": 20}), ids(user_features={"age": 70})
    assert young != old
    assert ids(user_features={"age": 70, "country": "fr"}, history=["item-0003"]) != ids(
        history=["item-0003"]
    )
    assert ids(user_features={"age": 70}, history=["gone"]) == old


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("search", {"item": {}}, "item: "),
        ("search", {"item": {"colour": "red"}}, "item: no feature column 'colour'"),
        ("search", {"item": {"title": "Item 1"}}, "item: no feature column 'title'"),
        ("search", {"item": {"a": "high"}}, "column 'a'"),
        ("search", {"item": {"year": 2**70}}, "column 'year'"),
        ("search", {"item": {"a": [1.5]}}, "item.a"),
        ("search", {"item": {"year": 1990.5}}, "column 'year'"),
        ("search", {"item": {"tags": "t1"}}, "column 'tags'"),
        ("search", {"queries": [{"item": {"genre": "war"}}, {"item": {"genre": 3.5}}]}, "column 'genre'"),
        ("search", {"queries": [{"item": {"year": 1990}}, {"item": {"year": "x"}}]}, "column 'year'"),
        ("recommend", {"user_features": {"age": "old"}}, "column 'age'"),
        ("recommend", {"user_features": {"size": 1}}, "user_features: no feature column 'size'"),
    ],
)
def test_features_that_no_model_reads_are_refused(
    raw_client: TestClient, path: str, body: dict[str, Any], message: str
) -> None:
    answer = raw_client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["error"]["message"]


def test_towers_without_features_of_users_say_so(
    world: World, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "published"
    encoder_bundle = publish(
        root, make_catalog(tmp_path / "c.parquet"), world.encoder, PublishConfig(), seed=0
    )
    make_towers(tmp_path / "towers", encoder_bundle)
    publish_towers(root, encoder_bundle, tmp_path / "towers", model=MODEL)
    answer = start(root).post("/v1/recommend", json={"user_features": {"age": 3}})
    assert answer.status_code == 422
    assert "know no features of users" in answer.json()["error"]["message"]


def test_models_that_changed_since_the_bundle_was_opened_are_not_used(
    world: World, start: Any, tmp_path: Path
) -> None:
    root = tmp_path / "published"
    shutil.copytree(world.bundle.path.parent, root, symlinks=True)
    client = start(root, poll_seconds=60)
    weights = next((root / world.bundle.manifest.version / "model").glob("weights*"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    answer = client.post("/v1/search", json={"item": {"genre": "war"}})
    assert answer.status_code == 503
    assert "cannot be used" in answer.json()["error"]["message"]
    assert client.post("/v1/search", json={"vector": [1, 0, 0, 0]}).status_code == 200


@pytest.mark.slow
def test_only_raw_features_and_histories_load_torch(world: World) -> None:
    code = """
import json, sys
from starlette.testclient import TestClient
from streamrec.serving.app import create_app
from streamrec.serving.settings import ServeConfig
with TestClient(create_app(ServeConfig(bundle=sys.argv[1], limits={"request_seconds": 60}))) as client:
    asked = [
        client.get("/v1/items/item-0001/neighbors").status_code,
        client.post("/v1/search", json={"vector": [1, 0, 0, 0], "where": {"genre": "war"}}).status_code,
        client.post("/v1/recommend", json={"user": "user-003", "exclude_seen": True}).status_code,
        client.get("/openapi.json").status_code,
    ]
    heavy = [name for name in ("torch", "pandas", "mlflow", "prefect") if name in sys.modules]
    asked.append(client.post("/v1/search", json={"item": {"genre": "war"}}).status_code)
    print(json.dumps([asked, heavy, "torch" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.bundle.path.parent)],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert json.loads(done.stdout) == [[200] * 5, [], True]
