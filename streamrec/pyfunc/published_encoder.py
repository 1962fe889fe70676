"""`check_champion`: whether the encoder of the published bundle is the registry's champion."""

from __future__ import annotations

from streamrec.errors import TrackingError
from streamrec.pyfunc.registry import RegisteredModel, champion
from streamrec.retrieval.manifest import Manifest
from streamrec.tracking import TrackingStore


def check_champion(store: TrackingStore, manifest: Manifest) -> RegisteredModel:
    """The champion, which made the bundle.

    Raises:
        TrackingError: the bundle is of another version than the champion, or there is no champion.
    """
    found, made = champion(store), manifest.model
    if found is not None and (found.name, str(found.version)) == (made.name, made.version):
        return found
    told = "no champion" if found is None else f"champion {found.name} version {found.version}"
    named = f"{made.name} version {made.version}" if made.name else "an encoder that is not registered"
    raise TrackingError(
        f"bundle {manifest.version} was made by {named}, the registry {store.uri} has {told}: "
        "make them agree with `streamrec rollback VERSION`, which moves both, or `streamrec promote`"
    )
