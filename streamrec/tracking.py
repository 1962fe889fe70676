"""The tracking store, and runs with their settings, numbers, inputs and files, recorded by MLflow."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.exc import SQLAlchemyError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

import streamrec
from streamrec.catalog.table import Catalog
from streamrec.config import RefreshConfig, RunConfig, StoreConfig, dump_config
from streamrec.errors import ConfigError, TrackingError
from streamrec.files import checksum

if TYPE_CHECKING:
    from streamrec.user_config import UserRetrievalConfig

SAMPLE_SECONDS = 2
"""Interval of the system metrics: a run of half a minute has a dozen values."""
METRICS_PER_BATCH = 1_000
PARAMS_PER_BATCH = 100
"""MLflow's limits."""

for _chatty in ("mlflow.system_metrics", "mlflow.store.db.utils", "mlflow.pyfunc"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


def store_uri(config: StoreConfig, root: str | Path | None = None) -> str:
    """MLflow tracking URI: the setting, else MLFLOW_TRACKING_URI, else SQLite in `root`/mlflow.

    A relative SQLite path is taken from `root` (the working folder) and made absolute.

    Raises:
        ConfigError: the URI is a folder, which MLflow no longer takes.
    """
    uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow/mlflow.db"
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        raise ConfigError(
            f"track.uri: found '{uri}', expected a database or a server; "
            "use sqlite:///PATH/mlflow.db or http://HOST:PORT"
        )
    return f"sqlite:///{Path(root or '.').resolve() / rest[1:]}" if scheme == "sqlite" else uri


def prepare_store(config: StoreConfig, root: str | Path | None = None) -> TrackingStore:
    """Create what is not there yet: the SQLite file with its tables, the experiment, the artifact folder.

    Artifacts of a SQLite store lie beside it in `artifacts`, those of a server where the server says, and
    those of another database in `root`/mlflow/artifacts. Safe to call from several processes at once.

    Raises:
        ConfigError: as `store_uri`.
        TrackingError: the store cannot be reached or opened, or its experiment was deleted.
    """
    uri = store_uri(config, root)
    if uri.startswith(("http://", "https://")):
        _check_reachable(uri)
        return _open_store(uri, config, artifacts=None)
    if not uri.startswith("sqlite:///"):
        return _open_store(uri, config, Path(root or ".").resolve() / "mlflow" / "artifacts")
    database = Path(uri.removeprefix("sqlite:///"))
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        # Side by side, MLflow's migrations of a new database break each other.
        with _locked(database.with_name(f"{database.name}.lock")):
            return _open_store(uri, config, database.parent / "artifacts")
    except OSError as error:
        raise TrackingError(f"{database}: cannot write the tracking store: {error.strerror}") from error


@dataclass(frozen=True)
class TrackingStore:
    """A prepared place for runs and models; small, so that it can be handed to another process."""

    uri: str
    """MLflow tracking URI."""
    experiment_id: str
    """Where runs go."""
    model_name: str
    """The registered model: the item encoder, or another by `of_model`."""

    @property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client of this store; the process's global store stays as it is."""
        return mlflow.MlflowClient(self.uri)

    def of_model(self, name: str) -> TrackingStore:
        """The same store for another registered model."""
        return replace(self, model_name=name)

    @contextmanager
    def start_run(
        self, name: str, tags: Mapping[str, str] | None = None, root: str | Path = "."
    ) -> Iterator[TrackedRun]:
        """A run with system metrics, ended as FINISHED, FAILED on an error or KILLED on an interrupt.

        The commit checked out at `root` becomes a tag; there is none outside of a git checkout.
        """
        client = self.client
        all_tags = {"streamrec.version": streamrec.__version__, **_commit(root), **(tags or {})}
        run_id = client.create_run(self.experiment_id, run_name=name, tags=all_tags).info.run_id
        monitor = SystemMetricsMonitor(run_id, sampling_interval=SAMPLE_SECONDS, tracking_uri=self.uri)
        monitor.start()
        status = "KILLED"
        try:
            yield TrackedRun(self, run_id)
            status = "FINISHED"
        except Exception as error:
            status = "FAILED"
            # Where the store itself is what failed, its error must reach the user, not the next one.
            with suppress(MlflowException):
                client.set_tag(run_id, "error", f"{type(error).__name__}: {error}")
            raise
        finally:
            monitor.finish()
            with suppress(MlflowException) if status == "FAILED" else nullcontext():
                client.set_terminated(run_id, status)


@dataclass(frozen=True)
class TrackedRun:
    """A run in progress; small, so that any task, thread or process can record to it."""

    store: TrackingStore
    run_id: str

    def of_model(self, name: str) -> TrackedRun:
        """The same run for another registered model."""
        return replace(self, store=self.store.of_model(name))

    @property
    def client(self) -> mlflow.MlflowClient:
        """MLflow's client of the run's store."""
        return self.store.client

    def log_config(self, config: RunConfig | RefreshConfig | UserRetrievalConfig) -> None:
        """Record every setting as a parameter (`model.latent_dim`) and the whole as `config.yaml`."""
        # The store's address may hold a password.
        config = config.model_copy(update={"track": config.track.model_copy(update={"uri": None})})
        settings = _flatten(config.model_dump(mode="json", exclude_none=True))
        params = [Param(_key(key), value) for key, value in settings]
        for start in range(0, len(params), PARAMS_PER_BATCH):
            self.client.log_batch(self.run_id, params=params[start : start + PARAMS_PER_BATCH])
        self.client.log_text(self.run_id, dump_config(config), "config.yaml")

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers of one step; a name may have groups (`train/elbo`)."""
        self.log_history([metrics], first_step=step)

    def log_history(self, steps: Iterable[Mapping[str, float]], first_step: int = 0) -> None:
        """Record numbers of consecutive steps at once, far faster than one by one."""
        now = int(time.time() * 1_000)
        metrics = [
            Metric(_key(name), float(value), now, step)
            for step, numbers in enumerate(steps, first_step)
            for name, value in numbers.items()
        ]
        for start in range(0, len(metrics), METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_PER_BATCH])

    def log_catalog(self, catalog: Catalog, source: str, profile: Mapping[str, Any] | None = None) -> None:
        """Record the catalogue as the run's input: see `log_table`."""
        self.log_table("items", catalog.path, source, profile)

    def log_table(self, name: str, path: Path, source: str, profile: Mapping[str, Any] | None = None) -> None:
        """Record a Parquet file as an input of the run: its digest, columns, row count, profile and source.

        `source` is the path or URL that the rows came from.
        """
        scheme = source.partition("://")[0] if "://" in source else "local"
        kind, key = ("http", "url") if scheme in ("http", "https") else (scheme, "uri")
        columns = [
            {"name": column.name, "required": True, **_column_type(column.type)}
            for column in pq.read_schema(path)
        ]
        dataset = Dataset(
            name=name,
            digest=checksum(path)[:16],
            source_type=kind,
            source=json.dumps({key: source}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps({"num_rows": pq.read_metadata(path).num_rows, **(profile or {})}),
        )
        training = DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])
        self.client.log_inputs(self.run_id, datasets=[training])

    def log_files(self, path: str | Path, folder: str | None = None) -> None:
        """Store a file, or all that is in a folder, under `folder` of the run's artifacts."""
        if Path(path).is_dir():
            self.client.log_artifacts(self.run_id, str(path), folder)
        else:
            self.client.log_artifact(self.run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _open_store(uri: str, config: StoreConfig, artifacts: Path | None) -> TrackingStore:
    try:
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name(config.experiment)
        if experiment is None:
            location = artifacts.as_uri() if artifacts else None
            experiment = client.get_experiment(client.create_experiment(config.experiment, location))
        client.search_registered_models(max_results=1)  # the registry makes its tables on first use
    except (MlflowException, SQLAlchemyError) as error:
        line = str(error).splitlines()[0]
        raise TrackingError(f"track.uri: cannot open the tracking store '{uri}': {line}") from error
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"track.experiment: '{config.experiment}' was deleted in '{uri}'; "
            f"restore it (mlflow experiments restore -x {experiment.experiment_id}) or name another"
        )
    return TrackingStore(uri, experiment.experiment_id, config.model_name)


def _check_reachable(uri: str) -> None:
    # MLflow itself tries for minutes before it gives up on a server.
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise TrackingError(
            f"track.uri: cannot reach the tracking server '{uri}': {reason}; start it or change the setting"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _commit(root: str | Path) -> dict[str, str]:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    """A column may be called anything, a metric or parameter of MLflow may not."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    return "/".join(part for part in parts if part.strip("."))[:250] or "_"


def _column_type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"type": "array", "items": _column_type(kind.value_type)}
    names = {pa.int64(): "long", pa.float64(): "double", pa.bool_(): "boolean"}
    return {"type": "datetime" if pa.types.is_timestamp(kind) else names.get(kind, "string")}
