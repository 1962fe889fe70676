"""What a consumer of the registered augmenter sees: requests in, the augmenter's own rows out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.errors import BundleError, TrackingError
from streamrec.pyfunc.frame import frame_from_table
from streamrec.pyfunc.registry import (
    RegisteredModel,
    challenger,
    champion,
    promote,
    register_augmenter,
)
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.tracking import TrackingStore

NAME = "streamrec-augmenter"
SETTINGS = AugmentersConfig.model_validate(
    {
        "flow": {"width": 16, "blocks": 1, "evaluations": 4},
        "fit": {"steps": 10},
        "refine": {"cells": False, "ratio_rounds": 0},
    }
)


@pytest.fixture(scope="session")
def augmenter(encoder: ItemEncoder, rows: pa.Table) -> TableAugmenter:
    return fit_augmenter("flow", encoder.codec.encode(rows), encoder.codec, SETTINGS, seed=0)


@pytest.fixture(scope="session")
def augmenter_folder(augmenter: TableAugmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("augmenters") / "flow"
    augmenter.save(folder)
    return folder


@pytest.fixture(scope="session")
def version(store: TrackingStore, augmenter_folder: Path) -> RegisteredModel:
    with store.start_run("augmenters") as run:
        return register_augmenter(run.of_model(NAME), augmenter_folder, {"reason": "the best"}, "a table")


@pytest.fixture(scope="module")
def model(store: TrackingStore, version: RegisteredModel) -> mlflow.pyfunc.PyFuncModel:
    location = store.client.get_model_version_download_uri(NAME, str(version.version))
    return mlflow.pyfunc.load_model(download_artifacts(location))


def same(found: pd.DataFrame, expected: pa.Table) -> None:
    pd.testing.assert_frame_equal(found, frame_from_table(expected))


def test_a_askedis_answered_with_the_augmenters_rows(
    model: mlflow.pyfunc.PyFuncModel, augmenter: TableAugmenter
) -> None:
    found = model.predict(pd.DataFrame({"n": [30]}))
    same(found, augmenter.sample(30, seed=0))
    assert list(found.columns) == list(augmenter.schema.feature_columns)
    same(model.predict(pd.DataFrame({"n": [30]}), params={"seed": 9}), augmenter.sample(30, seed=9))


@pytest.mark.parametrize("as_text", [False, True])
def test_each_line_has_its_own_condition(
    model: mlflow.pyfunc.PyFuncModel, augmenter: TableAugmenter, as_text: bool
) -> None:
    condition: Any = {"kind": "film", "year": 2016}
    written = json.dumps(condition) if as_text else condition
    found = model.predict(pd.DataFrame({"n": [20, 5], "condition": [written, None]}))
    assert (found["kind"][:20] == "film").all()
    assert (found["year"][:20] == 2016).all()
    same(found, pa.concat_tables([augmenter.sample(20, condition, seed=0), augmenter.sample(5, seed=1)]))


def test_rows_are_sound_json_with_missing_cells_as_null(model: mlflow.pyfunc.PyFuncModel) -> None:
    records = model.predict(pd.DataFrame({"n": [200]})).to_dict("records")
    text = json.dumps(records, allow_nan=False)
    assert json.loads(text) == records
    years = [record["year"] for record in records]
    assert None in years
    assert {type(year) for year in years} == {int, type(None)}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"n": [0]}, "n: found 0, expected a number of rows, at least 1"),
        ({"n": [2_000_000]}, "n: found 2,000,000 rows in all, expected at most 1,000,000 a call"),
        ({"n": np.array([], np.int64)}, "found no request"),
        ({"n": [1], "condition": ["film"]}, "condition: found 'film', expected JSON as"),
        ({"n": [1], "condition": ["[1]"]}, r"condition: found \[1\], expected values by column"),
        ({"n": [1], "condition": [{"kind": "opera"}]}, "column 'kind' has no value 'opera'"),
        ({"n": [1], "condition": [{"price": 3}]}, "no categorical column 'price'"),
        ({"condition": [{"kind": "film"}]}, r"missing inputs \['n'\]"),
    ],
)
def test_a_askedwithout_sense_is_an_error_that_says_so(
    model: mlflow.pyfunc.PyFuncModel, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MlflowException, match=reason):
        model.predict(pd.DataFrame(asked))


def test_a_version_tells_family_and_reason_and_leaves_the_encoder_alone(
    store: TrackingStore, version: RegisteredModel, registered: RegisteredModel, augmenter: TableAugmenter
) -> None:
    assert (version.name, version.tags["family"], version.tags["reason"]) == (NAME, "flow", "the best")
    assert version.tags["codec_fingerprint"] == augmenter.codec.fingerprint
    assert store.client.get_model_version(NAME, str(version.version)).description == "a table"
    assert registered.name == "streamrec-item-encoder"
    assert challenger(store.of_model(NAME)) == version


def test_the_model_holds_no_pickle(store: TrackingStore, version: RegisteredModel) -> None:
    folder = Path(download_artifacts(store.client.get_model_version_download_uri(NAME, str(version.version))))
    kinds = {path.suffix for path in (folder / "artifacts").rglob("*") if path.is_file()}
    assert kinds == {".json", ".npz", ".safetensors"}


def test_a_broken_augmenter_is_not_registered(
    store: TrackingStore, augmenter_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "broken"
    with pytest.raises(BundleError), store.start_run(name) as run:
        register_augmenter(run.of_model(name), tmp_path / "nothing")
    altered = tmp_path / "altered.py"
    code = Path(__file__).parents[2] / "streamrec/pyfunc/augmenter.py"
    altered.write_text(code.read_text().replace("seed + line", "seed + line + 1"))
    monkeypatch.setattr("streamrec.pyfunc.augmenter_package.MODEL_CODE", altered)
    with pytest.raises(TrackingError, match="other rows"), store.start_run(name) as run:
        register_augmenter(run.of_model(name), augmenter_folder)
    assert challenger(store.of_model(name)) is None


CONSUMER = """
import sys
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/streamrec-augmenter@champion")
model.predict(pandas.DataFrame({"n": [7]})).to_json(sys.argv[1], orient="records", double_precision=15)
"""


def test_a_clean_process_loads_the_champion(
    store: TrackingStore, version: RegisteredModel, augmenter: TableAugmenter, tmp_path: Path
) -> None:
    promote(store.of_model(NAME), version.version)
    found = champion(store.of_model(NAME))
    assert found is not None
    assert found.version == version.version
    subprocess.run(
        [sys.executable, "-c", CONSUMER, "rows.json"],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": store.uri},
        check=True,
        timeout=200,
    )
    expected = frame_from_table(augmenter.sample(7)).to_json(orient="records", double_precision=15)
    assert json.loads((tmp_path / "rows.json").read_text()) == json.loads(expected)
