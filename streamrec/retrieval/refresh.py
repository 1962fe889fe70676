"""`refresh`: a bundle brought up to date with its catalogue by its own encoder, in the same space.

Only new and changed items are encoded. What is published equals a full publication by that encoder: unchanged
items keep the bits of their vectors, and that is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.files import link
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.changes import Changes
from streamrec.retrieval.manifest import EMBEDDINGS, INDEX, Refreshed
from streamrec.retrieval.publish import Encoder
from streamrec.retrieval.refresh_items import ItemFiles
from streamrec.retrieval.refresh_towers import TOWER_FILES, refresh_towers
from streamrec.retrieval.release import Stopwatch, carried, not_published, release
from streamrec.retrieval.releases import Releases
from streamrec.retrieval.tower_encoder import Load
from streamrec.retrieval.unaltered import check_unaltered

Progress = Callable[[int, int | None], None]


def compare(bundle: Bundle, catalog: Catalog, max_removed: float) -> Changes:
    """What became of the bundle's items in the catalogue.

    Args:
        bundle: what is published.
        catalog: the items now.
        max_removed: share of the bundle's items that may be gone.

    Raises:
        BundleError: another schema; ids of another type; no items, or too many gone; the bundle is of an
            earlier version of StreamRec and has no content hashes.
    """
    manifest = bundle.manifest
    if catalog.schema.fingerprint != manifest.schema_fingerprint:
        raise BundleError(
            f"{catalog.path}: schema fingerprint {catalog.schema.fingerprint}, that of the bundle "
            f"{manifest.version} is {manifest.schema_fingerprint}; run in full: streamrec run"
        )
    if not catalog.num_rows:
        raise BundleError(f"{catalog.path}: no rows, expected at least one item; nothing was published")
    column, known = catalog.schema.item_id, bundle.searcher.items.ids.column.type
    if (found := pq.read_schema(catalog.path).field(column).type) != known:
        raise BundleError(
            f"{catalog.path}: column '{column}' holds {found}, the published items' {known}; "
            "make the ids as they were, or run in full: streamrec run"
        )
    changes = Changes.of(bundle, catalog)
    if changes is None:
        raise BundleError(
            f"{bundle.path}: was published without content hashes, by an earlier version of StreamRec; "
            "run in full once: streamrec run"
        )
    if changes.removed > max_removed * manifest.rows:
        raise BundleError(
            f"{catalog.path}: {changes.removed:,} of the {manifest.rows:,} items of bundle "
            f"{manifest.version} are gone, expected at most {max_removed:.0%}; repair the table, or raise "
            "validation.max_row_count_change"
        )
    return changes


def refresh(
    root: Path,
    bundle: Bundle,
    catalog: Catalog,
    changes: Changes,
    config: PublishConfig,
    *,
    encoder: Encoder | None = None,
    load: Load | None = None,
    created: datetime | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Publish the catalogue's items with the current bundle's encoder, and make that current.

    The index has the lists that were trained for the bundle, and is measured anew. Towers, samples, profile
    and whatever else the bundle has are kept; new and changed items get vectors of the towers' model.

    A process that dies at any moment leaves `current` on the old bundle or on the new one, complete.

    Args:
        root: folder of bundles.
        bundle: it must still be current.
        catalog: the items now.
        changes: of the catalogue against the bundle, see `compare`.
        config: recall that the indexes must reach, bundles kept.
        encoder: that of the bundle; loaded from it by default.
        load: reads the towers' model, by default a `Towers`.
        created: time of publication, with a time zone; now, by default.
        progress: called with (rows encoded or kept, rows in all).

    Returns:
        The new bundle, opened and verified; its `seconds` tell how long each stage took.

    Raises:
        BundleError: unchanged items would get other vectors than are published; a vector is not finite; an
            id is missing or there twice; a file of the bundle was altered; another bundle became current
            meanwhile; the disk refuses. The old bundle stays current and whole.
    """
    releases, clock = Releases(root), Stopwatch()
    with clock("check"):
        # The new manifest vouches for every file that is kept.
        check_unaltered(bundle, "")
    try:
        with releases.staging() as folder:
            items = ItemFiles(folder, bundle, catalog, changes, encoder or load_encoder(bundle), clock)
            zero_vectors = items.write_table(items.encode(progress))
            items.check_kept()
            index, recall = items.write_index(config.min_recall)
            facts = carried(bundle.manifest) | {
                "rows": catalog.num_rows,
                "zero_vectors": zero_vectors,
                "index": index,
                "recall": recall,
                "refreshed": Refreshed(
                    source=bundle.manifest.version,
                    encoded=changes.new + changes.changed,
                    kept=int(changes.kept.sum()),
                    removed=changes.removed,
                ),
            }
            with clock("towers"):
                facts["towers"] = refresh_towers(folder, bundle, catalog, changes, config.min_recall, load)
            for name in bundle.manifest.files:
                if name not in (EMBEDDINGS, INDEX, *TOWER_FILES):
                    link(bundle.path / name, folder / name)
            current = bundle.manifest.version
            return release(releases, folder, facts, config.keep, clock, created, while_current=current)
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename}: gone; refresh the current bundle again") from error
    except OSError as error:
        raise not_published(root, error) from error


def load_encoder(bundle: Bundle) -> Encoder:
    """The item encoder in a bundle.

    Raises:
        StreamRecError: a file of it is broken.
    """
    from streamrec.retrieval.encoder import ItemEncoder

    return ItemEncoder.load(bundle.path)
