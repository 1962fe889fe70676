"""`publish_towers`: a bundle's items once more, with towers that recommend them to users."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import TOWERS, ModelSource, PublishedTowers
from streamrec.retrieval.read_towers import open_towers
from streamrec.retrieval.republish import republish
from streamrec.retrieval.verify import check_towers


def publish_towers(
    root: Path,
    bundle: Bundle,
    towers: Path,
    keep: int = 3,
    *,
    model: ModelSource | None = None,
    quality: Mapping[str, float | None] | None = None,
    created: datetime | None = None,
) -> Bundle:
    """Publish the items of the current bundle under `root` together with towers made of them.

    The files of the items are the same ones (hard links where the file system has them). Towers that the
    bundle had are replaced. A process that dies at any moment leaves `current` on a whole bundle.

    Args:
        root: folder of bundles.
        bundle: the bundle whose items and encoder the towers were made of; it must still be current.
        towers: the folder that `write_towers` wrote.
        keep: bundles kept, this one included.
        model: name, version and run of the towers, for the manifest.
        quality: metrics of the recommendations, for the manifest.
        created: time of publication, with a time zone; now, by default.

    Returns:
        The new bundle, opened and verified; its `seconds` tell how long each stage took.

    Raises:
        BundleError: the towers were trained on another encoder, or have other items or another order of
            items, than the bundle; another bundle became current meanwhile; the disk refuses. The old bundle
            stays current and whole.
    """
    facts = open_towers(towers).facts
    published = PublishedTowers(
        facts=facts,
        model=model or ModelSource(),
        encoder=bundle.manifest.model,
        quality=dict(quality) if quality is not None else None,
    )
    manifest = bundle.manifest.model_copy(update={"towers": published})
    check_towers(manifest, str(towers))
    return republish(
        root,
        bundle,
        TOWERS,
        lambda folder: shutil.copytree(towers, folder),
        {"towers": published},
        keep,
        created,
    )
