"""`Changes`: what became of a bundle's items in a catalogue: kept, changed, new, removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.retrieval.content_hash import CONTENT_HASH, RECIPE, RECIPE_KEY, Hashes, content_hashes
from streamrec.retrieval.manifest import EMBEDDINGS

if TYPE_CHECKING:
    from streamrec.retrieval.bundle import Bundle


@dataclass(frozen=True)
class Changes:
    """A catalogue's n items against a bundle's m."""

    hashes: Hashes
    """(n,) of the catalogue's rows."""
    positions: NDArray[np.int64]
    """(n,) rows of the bundle with the same ids; -1 for new items."""
    kept: NDArray[np.bool_]
    """(n,) whether the bundle has the item with the same content."""
    removed: int
    """Items of the bundle that the catalogue does not have."""

    @classmethod
    def of(cls, bundle: Bundle, catalog: Catalog) -> Changes | None:
        """Compare row by row.

        None where there is nothing to compare: the bundle has no hashes of today's recipe, another schema, or
        ids of another type.

        Raises:
            BundleError: the bundle's table is gone.
        """
        published = _published_hashes(bundle)
        if published is None or bundle.manifest.schema_fingerprint != catalog.schema.fingerprint:
            return None
        known = bundle.searcher.items.ids.column.combine_chunks()
        ids = catalog.table([catalog.schema.item_id]).column(0).combine_chunks()
        if ids.type != known.type:
            return None
        parts = [content_hashes(batch, catalog.schema) for batch in catalog.batches()]
        hashes = np.concatenate([np.empty(0, np.uint64), *parts])
        positions = pc.index_in(ids, known).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        found = positions >= 0
        kept = found & (published[positions] == hashes)
        return cls(hashes, positions, kept, len(known) - int(found.sum()))

    @property
    def new(self) -> int:
        """Items that the bundle does not have."""
        return int((self.positions < 0).sum())

    @property
    def changed(self) -> int:
        """Items that the bundle has with other content."""
        return len(self.kept) - self.new - int(self.kept.sum())

    @property
    def nothing(self) -> bool:
        """Whether the catalogue has the bundle's items with equal content, in any order."""
        return bool(self.kept.all()) and self.removed == 0


def _published_hashes(bundle: Bundle) -> Hashes | None:
    path = bundle.path / EMBEDDINGS
    try:
        schema = pq.read_schema(path)
        if CONTENT_HASH not in schema.names or (schema.metadata or {}).get(RECIPE_KEY) != RECIPE.encode():
            return None
        hashes: Hashes = pq.read_table(path, columns=[CONTENT_HASH])[CONTENT_HASH].to_numpy()
    except (OSError, pa.ArrowException) as error:
        raise BundleError(
            f"{path}: cannot read the published items: {error}; open the current bundle"
        ) from None
    return hashes
