"""What is published now, for a run that is to be compared with it or may have published it already."""

from __future__ import annotations

from pathlib import Path

from streamrec.catalog.profile import Profile
from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, PROFILE, Manifest, ModelSource
from streamrec.schema import FeatureSchema


def published_profile(root: Path, schema: FeatureSchema) -> Profile | None:
    """Profile of the current bundle under `root`; None without one or where its schema is another.

    Raises:
        StreamRecError: the bundle's manifest or profile is damaged.
    """
    current = _with_profile(root, schema)
    return None if current is None else Profile.load(current / PROFILE)


def published_checksum(root: Path, schema: FeatureSchema) -> str | None:
    """SHA-256 of the profile that `published_profile` would read; None where it would read none.

    Raises:
        StreamRecError: the bundle's manifest is damaged.
    """
    current = _with_profile(root, schema)
    return None if current is None else Manifest.read(current / MANIFEST).files[PROFILE].sha256


def published_items(root: Path, model: ModelSource, settings: PublishConfig, seed: int) -> Bundle | None:
    """The current bundle where a version of an encoder made it with these settings, opened and verified.

    None where it was made otherwise, has been refreshed since, or does not verify. A version was trained on
    one catalogue, so that its bundle has those items.
    """
    try:
        bundle = Bundle.open(root)
    except BundleError:
        return None
    manifest = bundle.manifest
    wanted = settings.model_dump(mode="json", exclude={"keep"})
    made = (manifest.config or {}).get("publish", {})
    same = manifest.model == model and manifest.seed == seed and manifest.refreshed is None
    return bundle if same and wanted.items() <= made.items() else None


def _with_profile(root: Path, schema: FeatureSchema) -> Path | None:
    current = (root / CURRENT).resolve()  # once: it may move on meanwhile
    if not (current / PROFILE).exists():
        return None
    return current if Manifest.read(current / MANIFEST).schema_fingerprint == schema.fingerprint else None
