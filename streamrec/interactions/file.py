"""The canonical file of events: written in time order, read as `Interactions`.

Columns: `user` (string or int64), `item` (string or int64), `weight` (float32), `time` (timestamp[us] in
UTC; null in every row where times are unknown), by rising time, then user, then item.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamrec.catalog.write import GROUP_ROWS, TableWriter
from streamrec.errors import InteractionsError
from streamrec.interactions.table import Interactions, Positions

COLUMNS = ("user", "item", "weight", "time")


def positions(ids: pa.Array | pa.ChunkedArray, known: pa.Array) -> Positions:
    """(n,) position of each id in `known` (k,); -1 where it is missing or unknown.

    A number and its text are one id.
    """
    if ids.type != known.type:
        ids, known = ids.cast(pa.string()), known.cast(pa.string())
    found = pc.index_in(ids, value_set=known).cast(pa.int64()).fill_null(-1)
    return found.to_numpy() if isinstance(found, pa.ChunkedArray) else found.to_numpy(zero_copy_only=False)


def write_interactions(
    path: Path,
    users: pa.Array | pa.ChunkedArray,
    items: pa.Array | pa.ChunkedArray,
    weights: pa.Array | pa.ChunkedArray,
    times: pa.Array | pa.ChunkedArray,
    item_ids: pa.Array,
) -> None:
    """Sort n events and write the canonical file, whole or not at all.

    Args:
        path: The file.
        users: (n,) ids, `string` or `int64`, plain or as a dictionary.
        items: (n,) positions in `item_ids`.
        weights: (n,) numbers.
        times: (n,) timestamp[us], or null throughout.
        item_ids: (I,) ids of the catalogue.
    """
    if not pa.types.is_dictionary(users.type):
        users = users.dictionary_encode()
    encoded = _one_dictionary(users)
    names, codes = encoded.dictionary, encoded.indices.to_numpy()
    at = items.to_numpy()
    when = times.cast(pa.int64()).fill_null(0).to_numpy()
    order = np.lexsort((_ranks(item_ids)[at], _ranks(names)[codes], when))
    kind = pa.schema(
        [
            ("user", names.type),
            ("item", item_ids.type),
            ("weight", pa.float32()),
            ("time", pa.timestamp("us")),
        ]
    )
    with TableWriter(path, kind) as writer:
        for start in range(0, len(order), GROUP_ROWS):
            rows = order[start : start + GROUP_ROWS]
            taken = pa.array(rows)
            columns = [
                names.take(pa.array(codes[rows])),
                item_ids.take(pa.array(at[rows])),
                weights.take(taken).cast(pa.float32()),
                times.take(taken).cast(pa.timestamp("us")),
            ]
            plain = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
            writer.write(pa.RecordBatch.from_arrays(plain, schema=kind))


def read_events(path: Path) -> pa.Table:
    """The columns of a canonical file, as stored; users as a dictionary.

    Raises:
        InteractionsError: not such a file.
    """
    try:
        return pq.read_table(path, columns=list(COLUMNS), read_dictionary=["user"], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        words = " ".join(str(error).split())
        raise InteractionsError(
            f"{path}: not a file of events; expected the columns {', '.join(COLUMNS)}: {words}"
        ) from error


def load_interactions(path: Path, item_ids: pa.Array, user_ids: pa.Array | None = None) -> Interactions:
    """Events of a canonical file as positions.

    Args:
        path: The file.
        item_ids: (I,) ids of the catalogue, in its order.
        user_ids: (U,) ids of users known otherwise (with features, say), without repeats: they come
            first, in this order; users known only by their events follow, ascending.

    Raises:
        InteractionsError: not such a file, an event whose item is not among `item_ids`, or a user who is
            neither among `user_ids` nor of their type.
    """
    table = read_events(path)
    items = positions(table["item"], item_ids)
    unknown = np.flatnonzero(items < 0)
    if len(unknown):
        raise InteractionsError(
            f"{path}: {len(unknown):,} of {len(items):,} events are with items that the catalogue of "
            f"{len(item_ids):,} does not have, as {table['item'][int(unknown[0])].as_py()!r}; ingest the "
            "events again beside this catalogue"
        )
    encoded = _one_dictionary(table["user"])
    names, codes = encoded.dictionary, encoded.indices.to_numpy()
    names, ranks = names.take(pc.sort_indices(names)), _ranks(names)
    if user_ids is None:
        place, user_ids = np.arange(len(names)), names
    else:
        place = positions(names, user_ids).copy()
        new = place < 0
        place[new] = len(user_ids) + np.arange(new.sum())
        user_ids = pa.concat_arrays([user_ids, _as(user_ids.type, names.filter(pa.array(new)), path)])
    users = place[ranks[codes]]
    times = table["time"].cast(pa.int64()).fill_null(0).to_numpy()
    weights = table["weight"].to_numpy()
    order = np.lexsort((items, users, times))
    return Interactions(users[order], items[order], times[order], weights[order], user_ids, item_ids)


def _as(kind: pa.DataType, names: pa.Array, path: Path) -> pa.Array:
    try:
        return names.cast(kind)
    except pa.ArrowInvalid as error:
        raise InteractionsError(
            f"{path}: user ids are {names.type}, those of the users' table {kind}, and not all can be read "
            f"as such ({' '.join(str(error).split())}); store both with one type"
        ) from error


def _one_dictionary(ids: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    if isinstance(ids, pa.Array):
        ids = pa.chunked_array([ids])
    if not pa.types.is_dictionary(ids.type):
        ids = ids.dictionary_encode()
    return ids.unify_dictionaries().combine_chunks()


def _ranks(ids: pa.Array) -> Positions:
    """(k,) place of each distinct id in ascending order."""
    ranks = np.empty(len(ids), np.int64)
    ranks[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
    return ranks
