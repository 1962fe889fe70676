"""What a run leaves in the tracking store: settings, numbers, inputs, files and how it ended."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamrec import tracking
from streamrec.catalog.table import Catalog
from streamrec.config import TrackConfig, load_config, parse_config
from streamrec.errors import ConfigError, TrackingError
from streamrec.schema import FeatureSchema
from streamrec.tracking import TrackingStore, prepare_store, store_uri

CONFIG = parse_config(
    {"generate": {"items": 50}, "codec": {"columns": {"price (€)": "standard"}}, "track": {"uri": None}}
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackingStore:
    return prepare_store(TrackConfig(), tmp_path_factory.mktemp("odd folder #1%20"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may land in the working folder, and the process's own MLflow settings stay as they are."""
    folder = tmp_path / "working folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert list(folder.iterdir()) == []
    assert not mlflow.is_tracking_uri_set()
    assert mlflow.active_run() is None


def test_the_setting_goes_before_the_environment_and_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = TrackConfig(uri="http://tracking.example:5000")
    assert store_uri(TrackConfig(), tmp_path) == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert store_uri(TrackConfig()) == f"sqlite:///{Path.cwd()}/mlflow/mlflow.db"
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "postgresql://host/db")
        assert store_uri(TrackConfig(), tmp_path) == "postgresql://host/db"
        assert store_uri(setting, tmp_path) == "http://tracking.example:5000"
    assert store_uri(TrackConfig(uri="sqlite:///runs.db"), tmp_path) == f"sqlite:///{tmp_path}/runs.db"
    assert store_uri(TrackConfig(uri="sqlite:////var/runs.db"), tmp_path) == "sqlite:////var/runs.db"


@pytest.mark.parametrize("uri", ["mlruns", "/var/mlruns", "file:///var/mlruns"])
def test_a_folder_is_refused_as_a_store(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"track\.uri: found .*mlruns'.* use sqlite:///"):
        store_uri(TrackConfig(uri=uri))


def test_preparing_again_finds_the_same_experiment(store: TrackingStore) -> None:
    assert prepare_store(TrackConfig(uri=store.uri)) == store
    other = prepare_store(TrackConfig(uri=store.uri, experiment="another"))
    assert other.experiment_id != store.experiment_id


def test_artifacts_lie_beside_the_database(store: TrackingStore, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>")
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "plots" / "deep" / "loss.png").write_bytes(b"png")
    with store.start_run("files") as run:
        run.log_files(tmp_path / "report.html")
        run.log_files(tmp_path / "plots", "plots")
    folder = Path(store.uri.removeprefix("sqlite:///")).parent / "artifacts" / run.run_id / "artifacts"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    assert found == {"report.html", "plots/deep/loss.png"}


def prepare_in_new_process(root: str) -> TrackingStore:
    prepared = prepare_store(TrackConfig(), root)
    with prepared.start_run(str(os.getpid())) as run:
        run.log_metrics({"x": 1})
    return prepared


def test_processes_that_start_side_by_side_share_one_new_store(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        stores = list(pool.map(prepare_in_new_process, [str(tmp_path / "new")] * 2))
    assert len(set(stores)) == 1
    runs = stores[0].client.search_runs([stores[0].experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * 2


def test_settings_become_parameters_and_a_file_that_loads_back(store: TrackingStore, tmp_path: Path) -> None:
    secret = CONFIG.track.model_copy(update={"uri": "http://user:secret@host"})
    with store.start_run("settings") as run:
        run.log_config(CONFIG.model_copy(update={"track": secret}))
    params = run.client.get_run(run.run_id).data.params
    assert params["generate.items"] == "50"
    assert params["model.hidden"] == json.dumps(list(CONFIG.model.hidden))
    assert params["publish.log_variance"] == "false"
    assert params["generate.preset"] == "independent"
    assert params["codec.columns.price ___"] == "standard"
    assert "secret" not in json.dumps(params)
    file = run.client.download_artifacts(run.run_id, "config.yaml", str(tmp_path))
    assert load_config(file) == CONFIG


def test_metrics_keep_every_step(store: TrackingStore) -> None:
    losses = [1 / (1 + step) for step in range(1_500)]
    with store.start_run("metrics") as run:
        run.log_history([{"train/loss": loss, "train/kl": step} for step, loss in enumerate(losses)])
        run.log_metrics({"evaluation/recall": 0.5})
        run.log_metrics({"evaluation/recall": 0.75}, step=60)
    history = run.client.get_metric_history(run.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == list(enumerate(losses))
    recall = run.client.get_metric_history(run.run_id, "evaluation/recall")
    assert [(point.step, point.value) for point in recall] == [(0, 0.5), (60, 0.75)]


@pytest.mark.parametrize("column", ["price (€)", "naïve", "a//b", "/a", "..", "", "#", "x" * 400, "a\nb"])
def test_a_metric_may_be_named_after_any_column(store: TrackingStore, column: str) -> None:
    with store.start_run("names") as run:
        run.log_metrics({f"reconstruction/{column}": 1.0, column: 2.0})
    metrics = run.client.get_run(run.run_id).data.metrics
    assert sorted(value for key, value in metrics.items() if not key.startswith("system/")) == [1.0, 2.0]


def test_a_run_on_a_checkout_names_its_commit(store: TrackingStore, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    with store.start_run("no commit yet", root=tmp_path) as run:
        pass
    assert "mlflow.source.git.commit" not in run.client.get_run(run.run_id).data.tags
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
    with store.start_run("commit", {"dataset": "news"}, root=tmp_path) as run:
        run.set_tags({"stage": "train"})
    tags = run.client.get_run(run.run_id).data.tags
    assert tags["mlflow.source.git.commit"] == commit
    assert (tags["dataset"], tags["stage"]) == ("news", "train")


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no rows"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_breaks_off_says_so(store: TrackingStore, error: BaseException, status: str) -> None:
    runs = []

    def fail() -> None:
        with store.start_run("broken") as run:
            runs.append(run)
            raise error

    with pytest.raises(type(error)):
        fail()
    found = store.client.get_run(runs[0].run_id)
    assert found.info.status == status
    assert found.info.end_time is not None
    assert found.data.tags.get("error") == ("ValueError: no rows" if status == "FAILED" else None)


def test_a_short_run_has_system_metrics(store: TrackingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "SAMPLE_SECONDS", 0.1)
    deadline = time.monotonic() + 60
    with store.start_run("system") as run:
        while not (found := run.client.get_run(run.run_id).data.metrics) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert found["system/system_memory_usage_megabytes"] > 0
    assert "system/cpu_utilization_percentage" in found
    assert not [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def catalog(path: Path, prices: list[float | None]) -> Catalog:
    rows = len(prices)
    table = {
        "id": [f"i{n}" for n in range(rows)],
        "tags": [["a"]] * rows,
        "price": pa.array(prices, pa.float64()),
    }
    pq.write_table(pa.table(table), path)
    return Catalog(path, FeatureSchema(item_id="id", multi_label=("tags",), numeric=("price",)))


def test_the_catalogue_is_recorded_as_the_input(store: TrackingStore, tmp_path: Path) -> None:
    items = catalog(tmp_path / "items.parquet", [1.5, None, 2.0])
    with store.start_run("input") as run:
        run.log_catalog(items, source="/in/items.csv", profile={"price": {"mean": 1.75}})
    recorded = run.client.get_run(run.run_id).inputs.dataset_inputs[0]
    assert [(tag.key, tag.value) for tag in recorded.tags] == [("mlflow.data.context", "training")]
    assert json.loads(recorded.dataset.profile) == {"num_rows": 3, "price": {"mean": 1.75}}
    columns = json.loads(recorded.dataset.schema)["mlflow_colspec"]
    assert [(column["name"], column["type"]) for column in columns] == [
        ("id", "string"),
        ("tags", "array"),
        ("price", "double"),
    ]
    source = mlflow.data.get_source(recorded)
    assert source.uri == "/in/items.csv"


@pytest.mark.parametrize("source", ["https://host/items.parquet", "s3://bucket/items/"])
def test_a_source_elsewhere_is_found_again(store: TrackingStore, tmp_path: Path, source: str) -> None:
    with store.start_run("input") as run:
        run.log_catalog(catalog(tmp_path / "items.parquet", [1.0]), source=source)
    found = mlflow.data.get_source(run.client.get_run(run.run_id).inputs.dataset_inputs[0])
    assert getattr(found, "url", None) or found.uri == source


def test_the_digest_tells_catalogues_apart(store: TrackingStore, tmp_path: Path) -> None:
    digests = []
    for number, prices in enumerate([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]]):
        with store.start_run("digest") as run:
            run.log_catalog(catalog(tmp_path / f"{number}.parquet", prices), source="items.csv")
        digests.append(run.client.get_run(run.run_id).inputs.dataset_inputs[0].dataset.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_server_that_is_down_is_named_at_once() -> None:
    with socket.socket() as unheard:  # bound, so that nobody else listens there, and not listening itself
        unheard.bind(("127.0.0.1", 0))
        refuse(f"http://127.0.0.1:{unheard.getsockname()[1]}")


def refuse(uri: str) -> None:
    with pytest.raises(TrackingError, match=f"cannot reach the tracking server '{uri}'"):
        prepare_store(TrackConfig(uri=uri))


def test_a_deleted_experiment_is_named(store: TrackingStore) -> None:
    config = TrackConfig(uri=store.uri, experiment="old")
    store.client.delete_experiment(prepare_store(config).experiment_id)
    with pytest.raises(TrackingError, match="'old' was deleted"):
        prepare_store(config)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow").write_text("a file, not a folder")
    with pytest.raises(TrackingError, match=r"mlflow\.db: cannot write the tracking store"):
        prepare_store(TrackConfig(), tmp_path)
