"""The registry's champions are the models that the current bundle names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from streamrec.pyfunc.registry import RegisteredModel, promote, tag_version
from streamrec.retrieval.bundle import resolve
from streamrec.retrieval.manifest import MANIFEST, Manifest, ModelSource
from streamrec.retrieval.releases import Releases
from streamrec.tracking import TrackingStore

Part = Literal["items", "towers"]

TAKEN_BACK = "taken_back"
"""Tag of a version whose bundle was rolled back: a run does not publish it again by itself."""


def follow_bundle(
    published: Path, store: TrackingStore, part: Part, tags: Mapping[str, str] | None = None
) -> RegisteredModel | None:
    """Make the champion the model that the current bundle's items, or towers, came from.

    Nobody publishes or goes back meanwhile: of two who change the bundle the later one decides both.

    Args:
        published: folder of the bundles.
        store: that the model is registered in.
        part: whose champion is to follow.
        tags: of its version, beside `bundle`.

    Returns:
        The champion; None where the bundle names no registered model.

    Raises:
        BundleError: nothing is published.
        TrackingError: the registry has no such version.
    """
    with Releases(published).locked():
        return name_champion(Manifest.read(resolve(published) / MANIFEST), store, part, tags)


def name_champion(
    manifest: Manifest, store: TrackingStore, part: Part, tags: Mapping[str, str] | None = None
) -> RegisteredModel | None:
    """As `follow_bundle`, of a manifest; call it under the lock of the releases."""
    source = source_of(manifest, part)
    if source is None or source.name is None or source.version is None:
        return None
    own, number = store.of_model(source.name), int(source.version)
    champion = promote(own, number, {"bundle": manifest.version, **(tags or {})})
    tag_version(own, number, {TAKEN_BACK: None})
    return champion


def source_of(manifest: Manifest, part: Part) -> ModelSource | None:
    """Where the items' encoder, or the towers, of a bundle came from."""
    if part == "items":
        return manifest.model
    return None if manifest.towers is None else manifest.towers.model
