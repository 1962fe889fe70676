"""`store_of`: where the models of a published bundle are registered."""

from __future__ import annotations

from pathlib import Path

from streamrec.config import TrackConfig
from streamrec.retrieval.bundle import resolve
from streamrec.retrieval.manifest import MANIFEST, Manifest
from streamrec.tracking import TrackingStore, prepare_store


def store_of(published: Path) -> TrackingStore:
    """The tracking store that the current bundle's settings name, else that of the environment.

    Raises:
        BundleError: nothing is published.
        TrackingError: the store does not answer.
    """
    config = Manifest.read(resolve(published) / MANIFEST).config or {}
    return prepare_store(TrackConfig.model_validate(config.get("track", {})))
