"""Anchors: items as they lay when their space began, kept so that a space does not wander off step by step.

The bundle that begins a space needs none: its own table, or that of a bundle refreshed from it, has its
vectors. Every later encoder of the space is measured against a sample of them, which its bundle carries on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.files import link
from streamrec.retrieval.bundle import Bundle, resolve
from streamrec.retrieval.content_hash import CONTENT_HASH, Hashes
from streamrec.retrieval.embeddings import EMBEDDING, read_vectors
from streamrec.retrieval.manifest import EMBEDDINGS, MANIFEST, Manifest

ANCHORS = "space/anchors.parquet"
"""Ids, embeddings and content hashes."""
MAX_ANCHORS = 20_000


def carry_anchors(root: Path, space: str, folder: Path) -> bool:
    """Put the anchors of a space into a new bundle's folder; whether the current bundle is of that space.

    They are those of the current bundle below `root`, or a seeded sample of its items where it has none.

    Raises:
        BundleError: nothing is published, or the current bundle cannot be read.
    """
    current = resolve(root)
    manifest = Manifest.read(current / MANIFEST)
    if (manifest.space or manifest.version) != space:
        return False
    if ANCHORS in manifest.files:
        link(current / ANCHORS, folder / ANCHORS)
        return True
    columns = [manifest.features.item_id, EMBEDDING, CONTENT_HASH]
    try:
        table = pq.read_table(current / EMBEDDINGS, columns=columns)
    except (pa.ArrowException, KeyError) as error:
        raise BundleError(f"{current / EMBEDDINGS}: has no content hashes: {error}") from None
    chosen = np.random.default_rng(manifest.seed).permutation(len(table))[:MAX_ANCHORS]
    (folder / ANCHORS).parent.mkdir()
    pq.write_table(table.take(pa.array(np.sort(chosen))), folder / ANCHORS)
    return True


def anchored_rows(bundle: Bundle, catalog: Catalog, hashes: Hashes) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows (k,) of a catalogue that are anchors with unchanged content, and the anchors' vectors (k, d).

    hashes: (n,) of the catalogue's rows. None where the bundle has no anchors.
    """
    if ANCHORS not in bundle.manifest.files:
        return None
    column, path = catalog.schema.item_id, bundle.path / ANCHORS
    anchors = pq.read_table(path, columns=[column, CONTENT_HASH])
    ids = catalog.table([column])[column].combine_chunks()
    found = pc.index_in(ids, anchors[column].combine_chunks())
    positions = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.flatnonzero((positions >= 0) & (anchors[CONTENT_HASH].to_numpy()[positions] == hashes))
    return rows, read_vectors(path)[positions[rows]]
