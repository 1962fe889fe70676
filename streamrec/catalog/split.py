"""`split_items`: which items the codec and the model learn from, and which they are measured on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streamrec.catalog.table import Catalog
from streamrec.errors import CatalogError


def split_items(catalog: Catalog, max_rows: int, held_out: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """Training items and held-out items, disjoint, both in file order; the same for the same arguments.

    Args:
        catalog: the items.
        max_rows: both together are a uniform sample of at most this many items.
        held_out: share of them that is held out, rounded to whole items; at least one item is held out, and
            at least two are left to train on.
        seed: of the sample and of the split.

    Raises:
        CatalogError: fewer than three items.
    """
    rows = catalog.sample(max_rows, seed)
    if len(rows) < 3:
        raise CatalogError(f"{catalog.path}: found {len(rows)} items, expected at least 3 to train on")
    count = min(max(1, round(len(rows) * held_out)), len(rows) - 2)
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.random.default_rng([seed, 1]).permutation(len(rows))[:count]] = True
    return rows.filter(pa.array(~chosen)), rows.filter(pa.array(chosen))
