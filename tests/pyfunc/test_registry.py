"""Versions of the item encoder: what is stored with each, and which one is champion or challenger."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import Model

from streamrec.config import TrackConfig
from streamrec.errors import BundleError, CatalogError, TrackingError
from streamrec.pyfunc.registry import (
    RegisteredModel,
    challenger,
    champion,
    promote,
    register_item_encoder,
)
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.tracking import TrackingStore, prepare_store


@pytest.fixture
def other_store(store: TrackingStore, request: pytest.FixtureRequest) -> TrackingStore:
    """The same database, with a registered model that no other test uses."""
    return prepare_store(TrackConfig(uri=store.uri, model_name=request.node.name))


def test_a_version_tells_what_it_encodes(registered: RegisteredModel, encoder: ItemEncoder) -> None:
    assert (registered.name, registered.version) == ("streamrec-item-encoder", 1)
    assert registered.tags == {
        "dimension": "5",
        "schema_fingerprint": encoder.schema.fingerprint,
        "codec_fingerprint": encoder.codec_fingerprint,
        "dataset": "mixed",
    }


def test_a_version_leads_to_its_run_and_the_run_to_its_model(
    store: TrackingStore, registered: RegisteredModel
) -> None:
    assert registered.run_id is not None
    run = store.client.get_run(registered.run_id)
    version = store.client.get_model_version(registered.name, str(registered.version))
    (output,) = run.outputs.model_outputs
    logged = store.client.get_logged_model(output.model_id)
    assert (logged.status, logged.artifact_location) == ("READY", version.source)


def test_the_model_holds_no_pickle(model_folder: Path) -> None:
    files = {path.relative_to(model_folder).as_posix() for path in model_folder.rglob("*") if path.is_file()}
    assert {path for path in files if path.startswith("artifacts/")} == {
        "artifacts/codec/codec.json",
        "artifacts/codec/codec.npz",
        "artifacts/model/model.json",
        "artifacts/model/weights.safetensors",
    }
    # Python keeps compiled code beside the code of a model that is loaded in place.
    endings = {Path(path).suffix for path in files if not path.startswith("__pycache__/")}
    assert endings <= {"", ".json", ".npz", ".safetensors", ".py", ".yaml", ".txt"}, files


def test_the_model_says_which_packages_it_needs(model_folder: Path) -> None:
    lines = (model_folder / "requirements.txt").read_text().split()
    pinned = dict(line.split("==") for line in lines)
    assert {"streamrec", "torch", "mlflow", "pyarrow", "safetensors"} <= set(pinned)
    assert all("+" not in version for version in pinned.values()), pinned


def test_the_signature_names_every_column(model_folder: Path, encoder: ItemEncoder) -> None:
    info = Model.load(str(model_folder))
    assert info.signature is not None
    assert info.signature.inputs.required_input_names() == list(encoder.schema.feature_columns)
    assert sorted(info.signature.inputs.optional_input_names()) == ["added", "id", "title"]
    assert [output.shape for output in info.signature.outputs.inputs] == [(-1, 5)]
    assert info.metadata["schema"] == encoder.schema.model_dump(mode="json")


def test_the_stored_example_is_a_request_in_strict_json(
    model_folder: Path, encoder: ItemEncoder, rows: pa.Table
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (model_folder / "serving_input_example.json").read_text()
    split = json.loads(text, parse_constant=refuse)["dataframe_split"]
    example = pd.DataFrame(split["data"], columns=split["columns"])
    found = mlflow.pyfunc.load_model(str(model_folder)).predict(example)
    np.testing.assert_allclose(found, encoder.encode(rows[: len(example)]), atol=1e-6)


def test_before_the_first_version_there_is_no_champion(other_store: TrackingStore) -> None:
    assert champion(other_store) is None
    assert challenger(other_store) is None
    with pytest.raises(TrackingError, match="cannot make version 1 the champion"):
        promote(other_store, 1)


def test_a_new_version_challenges_and_a_promoted_one_is_champion(
    other_store: TrackingStore, encoder_folder: Path, rows: pa.Table
) -> None:
    with other_store.start_run("first") as run:
        first = register_item_encoder(run, encoder_folder, rows)
    assert (challenger(other_store), champion(other_store)) == (first, None)
    promote(other_store, first.version, {"bundle": "b1"})
    found = champion(other_store)
    assert found is not None
    assert (found.version, found.tags["bundle"]) == (1, "b1")
    assert challenger(other_store) is None

    with other_store.start_run("second") as run:
        second = register_item_encoder(run, encoder_folder, rows)
    assert second.version == 2
    assert (challenger(other_store), champion(other_store)) == (second, found)
    assert promote(other_store, 2) == champion(other_store)
    assert promote(other_store, 1) == found, "an older version can be made champion again"
    with pytest.raises(TrackingError, match="version 7"):
        promote(other_store, 7)
    assert champion(other_store) == found


def test_a_broken_encoder_is_not_registered(
    other_store: TrackingStore, encoder_folder: Path, rows: pa.Table, tmp_path: Path
) -> None:
    shutil.copytree(encoder_folder, tmp_path / "broken")
    (tmp_path / "broken" / "model" / "weights.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(BundleError), other_store.start_run("broken") as run:
        register_item_encoder(run, tmp_path / "broken", rows)
    with pytest.raises(CatalogError, match="'price'"), other_store.start_run("rows") as run:
        register_item_encoder(run, encoder_folder, rows.drop_columns("price"))
    assert challenger(other_store) is None


def test_a_model_with_other_embeddings_is_not_registered(
    other_store: TrackingStore, encoder_folder: Path, rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = encoder_folder.parent / "altered.py"
    code = Path("streamrec/pyfunc/item_encoder.py")
    source = (Path(__file__).parents[2] / code).read_text()
    altered.write_text(source.replace("return self.encoder.encode(", "return 1.001 * self.encoder.encode("))
    monkeypatch.setattr("streamrec.pyfunc.package.MODEL_CODE", altered)
    with pytest.raises(TrackingError, match="other embeddings"), other_store.start_run("altered") as run:
        register_item_encoder(run, encoder_folder, rows)
    assert challenger(other_store) is None
