"""`split_items`: which items the codec and the model learn from, and which they are measured on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.catalog.table import Catalog, sample_positions
from streamrec.config import RunConfig
from streamrec.errors import CatalogError


class ItemSplit(NamedTuple):
    """Items, disjoint, both in file order; the same for the same catalogue, seed and settings."""

    train: pa.Table
    """Rows to learn from."""
    held_out: pa.Table
    """Rows to measure on."""


def split_items(catalog: Catalog, config: RunConfig) -> ItemSplit:
    """Hold out `train.validation_share` of at most `train.max_rows` items drawn by seed.

    At least one item is held out, and at least two are left to train on.

    Raises:
        CatalogError: fewer than three items.
    """
    rows = catalog.sample(config.train.max_rows, config.seed)
    if len(rows) < 3:
        raise CatalogError(f"{catalog.path}: found {len(rows)} items, expected at least 3 to train on")
    chosen = _held_out(len(rows), config)
    return ItemSplit(train=rows.filter(pa.array(~chosen)), held_out=rows.filter(pa.array(chosen)))


def trained_rows(total: int, config: RunConfig) -> NDArray[np.int64]:
    """Positions of the rows that `split_items` gives for training, of a catalogue of `total` rows, rising."""
    drawn = sample_positions(total, config.train.max_rows, config.seed)
    return drawn[~_held_out(len(drawn), config)]


def _held_out(rows: int, config: RunConfig) -> NDArray[np.bool_]:
    count = min(max(1, round(rows * config.train.validation_share)), rows - 2)
    chosen = np.zeros(rows, dtype=bool)
    chosen[np.random.default_rng([config.seed, 1]).permutation(rows)[:count]] = True
    return chosen
