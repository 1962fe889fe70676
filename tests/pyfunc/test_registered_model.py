"""What a consumer of the registry sees: raw rows of any shape in, the encoder's own bits out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.exceptions import MlflowException

from streamrec.pyfunc.registry import RegisteredModel, promote
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.tracking import TrackingStore


@pytest.fixture(scope="module")
def model(model_folder: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(model_folder))


@pytest.fixture(scope="module")
def frame(rows: pa.Table) -> pd.DataFrame:
    return rows.to_pandas()


@pytest.fixture(scope="module")
def vectors(encoder: ItemEncoder, rows: pa.Table) -> np.ndarray:
    return encoder.encode(rows)


def test_a_frame_gets_the_encoders_bits_in_row_order(
    model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, vectors: np.ndarray
) -> None:
    found = model.predict(frame)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors)
    turned = frame.iloc[::-1][list(frame.columns[::-1])]
    np.testing.assert_array_equal(model.predict(turned), vectors[::-1])


def typed_as_category(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"kind": "category", "year": "category"})


def nullable_integers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"year": "Int64", "plays": "Int64", "live": "boolean", "free": "boolean"})


def small_types(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"year": "Int16", "plays": "float32"})


def all_objects(frame: pd.DataFrame) -> pd.DataFrame:
    plain = frame.astype(object)
    return plain.where(plain.notna(), None)


def labels_as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(tags=["|".join(labels) for labels in frame["tags"]])


def labels_as_tuples(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(tags=[tuple(labels) for labels in frame["tags"]])


def arrow_backed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.convert_dtypes(dtype_backend="pyarrow")


def only_features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["id", "title", "added"])


def more_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(other=object()).set_index("id", drop=False)


def json_round_trip(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(json.loads(only_features(frame).to_json(orient="records", double_precision=15)))


@pytest.mark.parametrize(
    "change",
    [
        typed_as_category,
        nullable_integers,
        small_types,
        all_objects,
        labels_as_text,
        labels_as_tuples,
        arrow_backed,
        only_features,
        more_columns,
        json_round_trip,
    ],
)
def test_the_kind_of_cells_does_not_matter(
    model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, vectors: np.ndarray, change: Any
) -> None:
    np.testing.assert_allclose(model.predict(change(frame)), vectors, atol=1e-6)


def test_missing_cells_are_missing_however_they_are_written(
    model: mlflow.pyfunc.PyFuncModel, encoder: ItemEncoder, rows: pa.Table, frame: pd.DataFrame
) -> None:
    features = encoder.schema.feature_columns
    blank = pa.table({name: pa.nulls(3, rows.schema.field(name).type) for name in features})
    expected = encoder.encode(blank)
    for nothing in (None, float("nan"), pd.NA, pd.NaT):
        written = pd.DataFrame({name: pd.Series([nothing] * 3, dtype=object) for name in features})
        np.testing.assert_array_equal(model.predict(written), expected)


def test_unknown_categories_and_labels_are_no_error(
    model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame
) -> None:
    strange = frame.assign(kind="opera", year=1234, tags=[["zz"]] * len(frame))
    assert np.isfinite(model.predict(strange)).all()


def test_no_rows_give_no_embeddings(model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    assert model.predict(frame[:0]).shape == (0, 5)


def test_read_only_input_is_taken(
    model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, vectors: np.ndarray
) -> None:
    price = frame["price"].to_numpy(copy=True)
    price.flags.writeable = False
    np.testing.assert_array_equal(model.predict(frame.assign(price=price)), vectors)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("price", "cheap", "column 'price' holds .*expected numbers"),
        ("kind", [1.5], "column 'kind'"),
        ("tags", [["a", 1]], "column 'tags' holds different kinds of values"),
        ("plays", ["7", 7], "column 'plays' holds different kinds of values"),
        ("cast", "a", "column 'cast' holds .*expected lists of text; set its delimiter"),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(
    model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame, column: str, values: Any, expected: str
) -> None:
    cells = [values[n % len(values)] for n in range(len(frame))] if isinstance(values, list) else values
    with pytest.raises(MlflowException, match=expected):
        model.predict(frame.assign(**{column: cells}))


def test_a_missing_column_is_named(model: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    with pytest.raises(MlflowException, match=r"missing inputs \['price'\]"):
        model.predict(frame.drop(columns="price"))


def test_a_clean_process_loads_the_champion(
    store: TrackingStore,
    registered: RegisteredModel,
    vectors: np.ndarray,
    predict_in_clean_process: Callable[[str], np.ndarray],
) -> None:
    promote(store, registered.version)
    np.testing.assert_array_equal(predict_in_clean_process(store.uri), vectors)


@pytest.fixture(scope="module")
def served(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real `mlflow models serve` process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--model-uri", str(model_folder), "--port", str(port), "--workers", "1"],
            cwd=folder,
            # The server is started by name.
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 200
        while not is_healthy(address):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ping", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask(address: str, body: bytes, kind: str = "application/json") -> Any:
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_it_answers_over_http(served: str, rows: pa.Table, vectors: np.ndarray, tmp_path: Path) -> None:
    records = [{key: row[key] for key in row if key != "added"} for row in rows.to_pylist()]
    answer = ask(served, json.dumps({"dataframe_records": records}).encode())
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), vectors)

    one = ask(served, json.dumps({"dataframe_records": records[7:8]}).encode())
    np.testing.assert_array_equal(np.array(one["predictions"], np.float32), vectors[7:8])

    columns = [name for name in rows.column_names if name != "added"]
    split = {"columns": columns, "data": [[record[name] for name in columns] for record in records]}
    answer = ask(served, json.dumps({"dataframe_split": split}).encode())
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), vectors)

    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    answer = ask(served, (tmp_path / "rows.parquet").read_bytes(), "application/vnd.apache.parquet")
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), vectors)


def test_a_wrong_request_over_http_is_answered_with_the_reason(served: str, rows: pa.Table) -> None:
    row = {key: value for key, value in rows.to_pylist()[0].items() if key != "added"}
    for changed, reason in [
        ({**row, "price": "cheap"}, "column 'price' holds"),
        ({key: value for key, value in row.items() if key != "price"}, "missing inputs ['price']"),
    ]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(served, json.dumps({"dataframe_records": [changed]}).encode())
        assert caught.value.code == 400
        assert reason in caught.value.read().decode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(served, b"kind,price\nfilm,1\n", "text/csv")
    assert caught.value.code == 400
