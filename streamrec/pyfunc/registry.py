"""Registered models: the newest version is the challenger, the one that is in use the champion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from streamrec.errors import TrackingError
from streamrec.retrieval.manifest import ModelSource
from streamrec.tracking import TrackedRun, TrackingStore

KEY = "stage_key"
"""Tag of a version: what it was made from (see `streamrec.stages`)."""


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a registered model."""

    name: str
    version: int
    run_id: str | None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.name}/{self.version}"

    @property
    def source(self) -> ModelSource:
        """As a bundle's manifest names it."""
        return ModelSource(name=self.name, version=str(self.version), run_id=self.run_id)


def register_item_encoder(
    run: TrackedRun, folder: str | Path, rows: pa.Table, tags: Mapping[str, str] | None = None
) -> RegisteredModel:
    """Register the encoder in `folder`/codec and `folder`/model as the next version, the challenger.

    `rows` are a few items to check the registered model with; they become its stored example.

    Raises:
        TrackingError: the registered model would give other embeddings than the encoder.
        StreamRecError: the encoder cannot be loaded, or `rows` lacks a feature column.
    """
    # Only here: a process that looks up the champion does without torch.
    from streamrec.pyfunc.package import write_model

    return _register(
        run, "item-encoder", lambda path, record: write_model(path, Path(folder), rows, record), tags
    )


def register_augmenter(
    run: TrackedRun, folder: str | Path, tags: Mapping[str, str] | None = None, description: str | None = None
) -> RegisteredModel:
    """Register the augmenter that was saved in `folder` as the next version, the challenger.

    Its name is that of the run's store: see `TrackingStore.of_model`.

    Raises:
        TrackingError: the registered model would make other rows than the augmenter.
        StreamRecError: the augmenter cannot be loaded.
    """
    from streamrec.pyfunc.augmenter_package import write_augmenter

    return _register(
        run, "augmenter", lambda path, record: write_augmenter(path, Path(folder), record), tags, description
    )


def register_two_tower(
    run: TrackedRun, folder: str | Path, tags: Mapping[str, str] | None = None, description: str | None = None
) -> RegisteredModel:
    """Register the towers that `write_towers` wrote into `folder` as the next version, the challenger.

    Its name is that of the run's store: see `TrackingStore.of_model`.

    Raises:
        TrackingError: the registered model would recommend other items than the towers.
        StreamRecError: the towers cannot be read.
    """
    from streamrec.pyfunc.two_tower_package import write_two_tower

    return _register(
        run, "two-tower", lambda path, record: write_two_tower(path, Path(folder), record), tags, description
    )


def _register(
    run: TrackedRun,
    kind: str,
    write: Callable[[Path, Model], dict[str, str]],
    tags: Mapping[str, str] | None,
    description: str | None = None,
) -> RegisteredModel:
    """Log the MLflow model that `write` writes, and make it the next version of the store's model."""
    client, name = run.client, run.store.model_name
    logged = client.create_logged_model(
        run.store.experiment_id, kind, source_run_id=run.run_id, model_type=kind
    )
    location, model_id = logged.artifact_location, logged.model_id
    try:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            record = Model(location, run.run_id, model_uuid=model_id, model_id=model_id)
            facts = write(path, record)
            client.log_model_artifacts(model_id, str(path))
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run.run_id, [LoggedModelOutput(model_id, step=0)])
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The location, not models:/ID: MLflow looks that one up in the process's global store.
    version = client.create_model_version(
        name, location, run.run_id, {**facts, **(tags or {})}, description=description, model_id=model_id
    )
    client.set_registered_model_alias(name, "challenger", version.version)
    return _registered(version)


def promote(store: TrackingStore, version: int, tags: Mapping[str, str] | None = None) -> RegisteredModel:
    """Make `version` the champion and tag it; an encoder's once its bundle is published.

    Raises:
        TrackingError: there is no such version.
    """
    client, name, number = store.client, store.model_name, str(version)
    try:
        for key, value in (tags or {}).items():
            client.set_model_version_tag(name, number, key, value)
        client.set_registered_model_alias(name, "champion", number)
    except MlflowException as error:
        raise TrackingError(f"{name}: cannot make version {version} the champion: {error.message}") from error
    newest = challenger(store)
    if newest and newest.version == version:
        client.delete_registered_model_alias(name, "challenger")
    return _registered(client.get_model_version(name, number))


def version_of(store: TrackingStore, version: int) -> RegisteredModel:
    """A version by its number.

    Raises:
        TrackingError: there is no such version.
    """
    try:
        return _registered(store.client.get_model_version(store.model_name, str(version)))
    except MlflowException as error:
        raise TrackingError(f"{store.model_name}: no version {version}: {error.message}") from error


def tag_version(store: TrackingStore, version: int, tags: Mapping[str, str | None]) -> None:
    """Set tags of a version; None takes one away.

    Raises:
        TrackingError: there is no such version.
    """
    client, name, number = store.client, store.model_name, str(version)
    try:
        there = client.get_model_version(name, number).tags
        for key, value in tags.items():
            if value is not None:
                client.set_model_version_tag(name, number, key, value)
            elif key in there:
                client.delete_model_version_tag(name, number, key)
    except MlflowException as error:
        raise TrackingError(f"{name}: cannot tag version {version}: {error.message}") from error


def champion(store: TrackingStore) -> RegisteredModel | None:
    """The version in use, of an encoder the one whose embeddings are published; None before the first."""
    return _by_alias(store, "champion")


def challenger(store: TrackingStore) -> RegisteredModel | None:
    """The newest version registered, until it is promoted; None where there is none."""
    return _by_alias(store, "challenger")


def find_version(store: TrackingStore, key: str) -> RegisteredModel | None:
    """The newest version tagged with `KEY` = `key`; None where there is none, or none any more.

    It is the challenger again where the run that registered it ended before it could say so.
    """
    client, name = store.client, store.model_name
    found = [v for v in client.search_model_versions(f"tags.{KEY} = '{key}'") if v.name == name]
    if not found:
        return None
    version = _registered(max(found, key=lambda version: int(version.version)))
    known = (champion(store), challenger(store))
    if all(other is None or other.version < version.version for other in known):
        client.set_registered_model_alias(name, "challenger", str(version.version))
    return version


def _by_alias(store: TrackingStore, alias: str) -> RegisteredModel | None:
    try:
        return _registered(store.client.get_model_version_by_alias(store.model_name, alias))
    except MlflowException as error:
        # MLflow's codes for an unknown model and for an unknown alias.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _registered(version: ModelVersion) -> RegisteredModel:
    return RegisteredModel(version.name, int(version.version), version.run_id, dict(version.tags))
