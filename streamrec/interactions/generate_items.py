"""The items of a `structured` catalogue as their generator knows them: factors, popularity, publication."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from streamrec.catalog.structured_parameters import FACTORS
from streamrec.errors import CatalogError

CONTENT_SHARE = 0.5
"""Share of the popularity's variance that the item's views explain."""


@dataclass(frozen=True)
class StructuredItems:
    """I items in the order of the catalogue."""

    ids: pa.Array
    """(I,) text."""
    published: NDArray[np.int64]
    """(I,) seconds since 1970."""
    factors: NDArray[np.float32]
    """(I, 6)"""
    popularity: NDArray[np.float32]
    """(I,) mean 0 and variance 1."""


def read_items(catalogue: Path, truth: Path, seed: int) -> StructuredItems:
    """The items of a catalogue and its truth, with a popularity of their own for each seed:

    q_i = standardised(sqrt(CONTENT_SHARE) * standardised(log views_i) + sqrt(1 - CONTENT_SHARE) * N(0, 1))

    where the views are the truth's: part of the popularity can be read off the item.

    Raises:
        CatalogError: they are not what `generate` writes with the preset `structured`, or not of one run.
    """
    shown = _read(catalogue, ["item_id", "published_at"])
    true = _read(truth, ["item_id", "factors", "views"])
    if not shown["item_id"].equals(true["item_id"]):
        raise CatalogError(f"{truth}: not the truth of {catalogue}: other items; generate both at once")
    if not len(shown):
        raise CatalogError(f"{catalogue}: no items; interactions need some")
    factors = true["factors"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
    content = _standardised(np.log(true["views"].to_numpy().astype(np.float64)))
    own = rng.standard_normal(len(shown))
    popularity = _standardised(np.sqrt(CONTENT_SHARE) * content + np.sqrt(1 - CONTENT_SHARE) * own)
    return StructuredItems(
        shown["item_id"].combine_chunks(),
        shown["published_at"].to_numpy().astype("datetime64[s]").astype(np.int64),
        factors.reshape(-1, FACTORS),
        popularity.astype(np.float32),
    )


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            lacking = [name for name in columns if name not in names]
            if lacking:
                raise CatalogError(
                    f"{path}: no column '{lacking[0]}'; interactions need a catalogue and a truth that "
                    "`streamrec generate --preset structured` wrote"
                )
            return file.read(columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise CatalogError(f"{path}: cannot read the generated items: {error}") from error


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean()
    scale = centred.std()
    return centred / scale if scale > 0 else centred
