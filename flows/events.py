"""Events that other flows, and automations, are started by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.events import emit_event

if TYPE_CHECKING:
    from pathlib import Path

    from streamrec.promotion.decision import Decision
    from streamrec.retrieval.bundle import Bundle

ITEMS_PUBLISHED = "streamrec.bundle.published"
"""New item embeddings are current: towers are to be trained on them."""
ITEMS_REFRESHED = "streamrec.bundle.refreshed"
"""The current bundle was brought up to date by its own encoder; its towers, where it had some, are kept."""
ITEMS_DRIFTED = "streamrec.items.drifted"
"""The items came to differ from those that the encoder was trained on: it is to be trained again."""
ITEMS_REFUSED = "streamrec.bundle.refused"
"""New item embeddings do not hold against the champion's: what was published stays."""
TOWERS_PUBLISHED = "streamrec.towers.published"
"""The current bundle recommends items to users."""
TOWERS_REFUSED = "streamrec.towers.refused"
"""Towers do not beat their baselines, or not the champion, and were not published."""


def tell_refused(published: Path, run: str, decision: Decision) -> None:
    """Emit that a run's item embeddings were refused, about the bundle that stays."""
    version = decision.champion or "none"
    emit_event(
        ITEMS_REFUSED,
        resource={
            "prefect.resource.id": f"streamrec.bundle.{version}",
            "prefect.resource.name": version,
            "streamrec.published": str(published),
        },
        payload={"run": run, "failed": [row.gate for row in decision.failed], "why": decision.headline},
    )


def tell(event: str, bundle: Bundle) -> None:
    """Emit an event about a bundle; its labels say where the bundle lies and what it is."""
    manifest = bundle.manifest
    emit_event(
        event,
        resource={
            "prefect.resource.id": f"streamrec.bundle.{manifest.version}",
            "prefect.resource.name": manifest.version,
            "streamrec.published": str(bundle.path.parent),
        },
        payload={
            "items": manifest.rows,
            "encoder": manifest.model.model_dump(),
            "encoder_fingerprint": manifest.encoder_fingerprint,
        },
    )
