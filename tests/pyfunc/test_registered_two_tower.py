"""What a consumer of the registered towers sees: users or histories in, items and scores out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.interactions.table import Interactions
from streamrec.pyfunc.registry import RegisteredModel, challenger, champion, promote, register_two_tower
from streamrec.retrieval.read_towers import open_towers
from streamrec.retrieval.tower_search import TowerSearch
from streamrec.retrieval.write_towers import write_towers
from streamrec.tracking import TrackingStore

NAME = "streamrec-two-tower"
ITEMS, USERS = 40, 12


class MeanTowers:
    """An item is its content, a user the mean of the items seen."""

    dimension = 6

    def item_vectors(self, latents: np.ndarray, features: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        return np.concatenate([latents, features], axis=1)

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        items = self.item_vectors(latents, features, ids)
        vectors = [items[own].mean(axis=0) if len(own) else np.zeros(6) for own in histories]
        return np.array(vectors, dtype=np.float32)

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.json").write_text("{}")


@pytest.fixture(scope="module", autouse=True)
def _mean_towers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamrec.retrieval.tower_encoder.load_towers", lambda folder: MeanTowers())
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    users, items = draw.integers(0, USERS, 150), draw.integers(0, ITEMS, 150)
    seen = Interactions(
        users,
        items,
        np.arange(150),
        np.ones(150, np.float32),
        pa.array(np.arange(USERS)),
        pa.array([f"item-{number}" for number in range(ITEMS)]),
    )
    content = ItemContent(*(draw.normal(size=(ITEMS, 3)).astype(np.float32) for _ in range(2)))
    place = tmp_path_factory.mktemp("two_tower") / "towers"
    write_towers(place, MeanTowers(), content, seen, "0" * 64, PublishConfig(), 0)
    return place


@pytest.fixture(scope="module")
def towers(folder: Path) -> TowerSearch:
    return open_towers(folder)


@pytest.fixture(scope="module")
def version(store: TrackingStore, folder: Path) -> RegisteredModel:
    with store.start_run("two-tower") as run:
        return register_two_tower(run.of_model(NAME), folder, {"split": "time"}, "a table")


@pytest.fixture(scope="module")
def model(store: TrackingStore, version: RegisteredModel) -> mlflow.pyfunc.PyFuncModel:
    location = store.client.get_model_version_download_uri(NAME, str(version.version))
    return mlflow.pyfunc.load_model(download_artifacts(location))


def test_known_users_get_their_items(model: mlflow.pyfunc.PyFuncModel, towers: TowerSearch) -> None:
    found = model.predict(pd.DataFrame({"user": [3, 8]}), params={"k": 5})
    scores, positions = towers.items_for(towers.user_index.vectors(np.array([3, 8])), 5)
    assert found["items"].tolist() == [[f"item-{at}" for at in row] for row in positions]
    np.testing.assert_allclose(np.array(found["scores"].tolist()), scores, rtol=1e-6)


def test_a_history_stands_for_the_user_and_may_be_left_out(
    model: mlflow.pyfunc.PyFuncModel, towers: TowerSearch
) -> None:
    own = [f"item-{at}" for at in towers.histories.row(3)]
    lines = pd.DataFrame({"user": [None, 3], "history": [own, None]})
    found = model.predict(lines, params={"k": ITEMS, "exclude_seen": True})
    assert found["items"][0] == found["items"][1]
    assert sorted(found["items"][0] + own) == sorted(f"item-{at}" for at in range(ITEMS))
    assert [len(row) for row in found["scores"]] == [ITEMS - len(own)] * 2
    twice = model.predict(pd.DataFrame({"history": [own + own]}), params={"k": 5})
    assert twice["items"][0] == model.predict(pd.DataFrame({"user": [3]}), params={"k": 5})["items"][0]


def test_recommendations_are_sound_json(model: mlflow.pyfunc.PyFuncModel) -> None:
    records = model.predict(pd.DataFrame({"user": [0]}), params={"k": 3}).to_dict("records")
    assert json.loads(json.dumps(records, allow_nan=False)) == records


@pytest.mark.parametrize(
    ("asked", "k", "reason"),
    [
        ({"user": [99]}, 5, "no user 99"),
        ({"history": [["item-1", "item-x"]]}, 5, "no item 'item-x'"),
        ({"history": [[]]}, 5, "line 1: found no user and no history"),
        ({"user": [1]}, 0, "k: found 0"),
        ({"user": [1] * 11}, 1_000_000, "expected at most 10,000,000 in all"),
    ],
)
def test_what_makes_no_sense_is_the_callers_error(
    asked: dict[str, Any], k: int, reason: str, model: mlflow.pyfunc.PyFuncModel
) -> None:
    with pytest.raises(MlflowException, match=reason) as raised:
        model.predict(pd.DataFrame(asked), params={"k": k})
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_the_version_says_what_it_is_and_can_be_promoted(
    store: TrackingStore, version: RegisteredModel
) -> None:
    own = store.of_model(NAME)
    assert version.name == NAME
    assert version.tags == {
        "dimension": "6",
        "items": "40",
        "users": "12",
        "encoder_fingerprint": "0" * 64,
        "split": "time",
    }
    assert challenger(own) == version
    promote(own, version.version)
    promoted = champion(own)
    assert promoted is not None
    assert promoted.version == version.version
    assert challenger(own) is None


def test_towers_that_cannot_be_read_are_not_registered(store: TrackingStore, tmp_path: Path) -> None:
    with store.start_run("broken") as run, pytest.raises(BundleError, match=r"towers\.json"):
        register_two_tower(run.of_model("broken-two-tower"), tmp_path)
    assert challenger(store.of_model("broken-two-tower")) is None
