"""`published_profile`: what the last published catalogue looked like."""

from __future__ import annotations

from pathlib import Path

from streamrec.catalog.profile import Profile
from streamrec.retrieval.bundle import CURRENT
from streamrec.retrieval.manifest import MANIFEST, PROFILE, Manifest
from streamrec.schema import FeatureSchema


def published_profile(root: Path, schema: FeatureSchema) -> Profile | None:
    """Profile of the current bundle under `root`; None without one or where its schema is another.

    Raises:
        StreamRecError: the bundle's manifest or profile is damaged.
    """
    current = (root / CURRENT).resolve()  # once: it may move on meanwhile
    if not (current / PROFILE).exists():
        return None
    if Manifest.read(current / MANIFEST).schema_fingerprint != schema.fingerprint:
        return None
    return Profile.load(current / PROFILE)
