"""A registry in memory, with as much of MLflow's client as aliases and tags need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from mlflow.exceptions import RESOURCE_DOES_NOT_EXIST, MlflowException

from streamrec.tracking import TrackingStore


class FakeClient:
    def __init__(self, versions: dict[str, int]) -> None:
        self.tags: dict[tuple[str, str], dict[str, str]] = {
            (name, str(version)): {} for name, last in versions.items() for version in range(1, last + 1)
        }
        self.aliases: dict[tuple[str, str], str] = {}

    def _tags(self, name: str, version: str) -> dict[str, str]:
        if (name, version) not in self.tags:
            raise MlflowException(f"no version {version} of {name}", RESOURCE_DOES_NOT_EXIST)
        return self.tags[name, version]

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._tags(name, version)[key] = value

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        del self._tags(name, version)[key]

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._tags(name, version)
        self.aliases[name, alias] = version

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        del self.aliases[name, alias]

    def get_model_version(self, name: str, version: str) -> Any:
        return SimpleNamespace(name=name, version=version, run_id=None, tags=dict(self._tags(name, version)))

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        if (name, alias) not in self.aliases:
            raise MlflowException("no alias", RESOURCE_DOES_NOT_EXIST)
        return self.get_model_version(name, self.aliases[name, alias])


class FakeStore(TrackingStore):
    """A store whose client is in memory; `of_model` gives another with the same."""

    clients: ClassVar[dict[str, FakeClient]] = {}

    @property
    def client(self) -> Any:
        return self.clients[self.uri]


def fake_store(uri: str, **versions: int) -> tuple[FakeStore, FakeClient]:
    """A store with so many versions of each model."""
    FakeStore.clients[uri] = FakeClient(versions)
    return FakeStore(uri, "0", "encoder"), FakeStore.clients[uri]
