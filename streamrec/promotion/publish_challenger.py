"""A challenger that was promoted, by its gates or by force, becomes the published bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamrec.catalog.profile import Profile
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig
from streamrec.promotion.challenger import Challenger, without_password
from streamrec.promotion.decision import Decision
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.manifest import PROFILE
from streamrec.retrieval.publish import publish
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.user_config import UserRetrievalConfig

TOWERS = "towers"
"""Folder of a run that `write_towers` wrote."""
PROMOTION = "promotion"
"""Name of a forced promotion in the configuration of a manifest."""

Progress = Callable[[int, int | None], None]


def publish_encoder(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    challenger: Challenger,
    decision: Decision,
    progress: Progress | None = None,
) -> Bundle:
    """Encode every item with the encoder in `folder`, index the embeddings, and make the bundle current.

    Args:
        config: of the run.
        catalog: of the run.
        folder: of the run.
        published: folder of the bundles.
        challenger: the encoder's version.
        decision: what was decided about it.
        progress: told (items encoded, items in all).

    Raises:
        BundleError: as `retrieval.publish.publish`.
    """
    profile = folder / PROFILE
    if not profile.exists():
        Profile.of(catalog, seed=config.seed).save(profile)
    return publish(
        published,
        catalog,
        ItemEncoder.load(folder),
        config.publish,
        config.seed,
        model=challenger.model,
        profile=profile,
        summary=without_password(config).model_dump(mode="json", exclude_none=True) | _told(decision),
        quality=challenger.quality,
        alignment=challenger.space.alignment,
        space=challenger.space.space_beside(folder, published),
        progress=progress,
    )


def publish_user_towers(
    config: UserRetrievalConfig, bundle: Bundle, folder: Path, challenger: Challenger, decision: Decision
) -> Bundle:
    """Publish the items of `bundle`, which must still be current, with the towers in `folder`.

    Raises:
        BundleError: as `retrieval.publish_towers.publish_towers`.
    """
    before = {k: v for k, v in (bundle.manifest.config or {}).items() if k != f"{PROMOTION}.{TOWERS}"}
    settings = before | _told(decision, TOWERS)
    told = replace(bundle, manifest=bundle.manifest.model_copy(update={"config": settings or None}))
    return publish_towers(
        config.out.resolve() / "published",
        told,
        folder / TOWERS,
        config.publish.keep,
        model=challenger.model,
        quality=challenger.quality,
    )


def _told(decision: Decision, part: str = "items") -> dict[str, Any]:
    """What the manifest says of a promotion that was forced; nothing of another."""
    if not decision.forced:
        return {}
    failed = [row.gate for row in decision.failed]
    return {f"{PROMOTION}.{part}": {"forced": True, "why": decision.why, "failed": failed}}
