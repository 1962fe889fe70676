"""`content_hashes`: one number per item that changes when any cell of its row does.

A refresh encodes only the items whose hash differs from the published one. The id is not part of it; every
other column of the schema is, display columns too, since they are published.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.schema import FeatureSchema

CONTENT_HASH = "content_hash"
"""Column of a bundle's table: uint64."""
RECIPE = "blake2b-splitmix64-1"
"""Name of what is computed here; hashes of another recipe say nothing about a row."""
RECIPE_KEY = b"streamrec.content_hash"
"""Where the Parquet metadata hold the recipe's name."""

Hashes = NDArray[np.uint64]

_MISSING = np.uint64(0x9E3779B97F4A7C15)
"""What a missing cell counts as: no value, and no list of values, is likely to hash to it."""


def content_hashes(rows: pa.RecordBatch | pa.Table, schema: FeatureSchema) -> Hashes:
    """Hashes (n,) of item rows of a catalogue.

    Equal rows have equal hashes in every process and on every machine, whatever rows are beside them; unequal
    rows have, but for one pair in 2**64, unequal ones. A number counts by its value, not by its type: 1, 1.0
    and True are equal in a numeric column. Labels count with their order.

    Texts are hashed by BLAKE2b (RFC 7693), once per distinct text, and cells are joined by the finaliser of
    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    total = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in schema.columns:
        if name == schema.item_id:
            continue
        column = rows.column(name)
        cells = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        number = name in schema.numeric
        seed = _texts([f"{'number' if number else cells.type} {name}"])
        values = _numbers(cells) if number else _cells(cells)
        # Chained, so that two columns which swap their values do not cancel out.
        total = _mix(total ^ _mix(values ^ seed))
    return total


def _cells(cells: pa.Array) -> Hashes:
    """A number per cell (n,) of any canonical type but numbers."""
    if pa.types.is_list(cells.type):
        return _lists(cells)
    if pa.types.is_string(cells.type):
        coded = cells.dictionary_encode()
        texts = _texts(coded.dictionary.to_pylist())
        codes = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
        return np.append(texts, _MISSING)[codes]
    if pa.types.is_timestamp(cells.type):
        cells = cells.cast(pa.int64())
    whole = cells.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return _with_missing(_mix(whole.view(np.uint64)), cells)


def _numbers(cells: pa.Array) -> Hashes:
    values = cells.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    # Adding 0 makes -0 0; every NaN has the same bits afterwards.
    plain = np.where(np.isnan(values), np.nan, values + 0.0)
    return _with_missing(_mix(plain.view(np.uint64)), cells)


def _lists(cells: pa.Array) -> Hashes:
    lengths = pc.list_value_length(cells).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    values = _cells(cells.flatten())
    place = np.arange(len(values)) - np.repeat(starts, lengths)
    # A sum of mixed values with their places: the order counts, and lists of any length are one `reduceat`.
    placed = _mix(values ^ _mix((place + 1).astype(np.uint64)))
    sums = np.zeros(len(cells), dtype=np.uint64)
    filled = np.flatnonzero(lengths)
    if len(filled):
        sums[filled] = np.add.reduceat(placed, starts[filled])
    return _with_missing(_mix(sums ^ _mix(lengths.astype(np.uint64) + np.uint64(1))), cells)


def _with_missing(values: Hashes, cells: pa.Array) -> Hashes:
    if cells.null_count:
        values[cells.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return values


def _texts(texts: list[str]) -> Hashes:
    digests = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts])
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64, a bijection of 64-bit numbers; it leaves 0 as it is."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
