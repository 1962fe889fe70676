"""`split_items`: which items the codec and the model learn from, and which they are measured on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streamrec.catalog.table import Catalog


def split_items(catalog: Catalog, max_rows: int, held_out: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """Training items and held-out items, disjoint, both in file order; the same for the same arguments.

    Args:
        catalog: the items.
        max_rows: both together are a uniform sample of at most this many items.
        held_out: share of them that is held out, rounded to whole items.
        seed: of the sample and of the split.
    """
    rows = catalog.sample(max_rows, seed)
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.random.default_rng([seed, 1]).permutation(len(rows))[: round(len(rows) * held_out)]] = True
    return rows.filter(pa.array(~chosen)), rows.filter(pa.array(chosen))
