"""Events that other flows, and automations, are started by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.events import emit_event

if TYPE_CHECKING:
    from streamrec.retrieval.bundle import Bundle

ITEMS_PUBLISHED = "streamrec.bundle.published"
"""New item embeddings are current: towers are to be trained on them."""
TOWERS_PUBLISHED = "streamrec.towers.published"
"""The current bundle recommends items to users."""
TOWERS_REFUSED = "streamrec.towers.refused"
"""Towers do not beat their baselines, and were not published."""


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
