"""The files of the towers, written; see `towers` for what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.retrieval import towers as names
from streamrec.retrieval.index import ItemIndex, VectorBatches
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.manifest import MeasuredRecall, TowerFacts
from streamrec.retrieval.recall import ExactNeighbours

ITEM_BLOCK = 65_536
"""Items whose vectors are made at once; rows of a row group."""


def checked(vectors: np.ndarray, dimension: int, kind: str, ids: pa.Array, first: int = 0) -> np.ndarray:
    """The vectors (n, dimension) of the items or users (`kind`) with these ids, the rows from `first` on.

    Raises:
        BundleError: another shape or type, or a vector that is not finite; the message names its id.
    """
    expected = (len(ids), dimension)
    if vectors.shape != expected or vectors.dtype != np.float32:
        raise BundleError(
            f"towers: gave {vectors.dtype} of shape {vectors.shape} for {kind}s, "
            f"expected float32 of shape {expected}"
        )
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        row = int(broken[0])
        raise BundleError(
            f"{kind} {ids[row].as_py()!r} (row {first + row}): its vector is not finite, "
            "expected finite numbers; train the towers again"
        )
    return vectors


def in_blocks(vectors: np.ndarray) -> VectorBatches:
    """Passes over vectors (n, k)."""

    def batches() -> Iterator[np.ndarray]:
        return (vectors[i : i + ITEM_BLOCK] for i in range(0, len(vectors), ITEM_BLOCK))

    return batches


def measured(
    index: ItemIndex, vectors: np.ndarray, queries: np.ndarray, min_recall: float, seed: int
) -> MeasuredRecall:
    """What an index of the vectors (n, k) finds for sampled queries (q, k), widened until it is enough."""
    exact = ExactNeighbours.of(queries, in_blocks(vectors), len(vectors), "inner_product", seed)
    recall = exact.widen(index, min_recall)
    return MeasuredRecall(k=exact.k, value=recall, queries=len(exact.queries), tolerance=exact.tolerance)


def write_items(path: Path, column: str, ids: pa.Array, vectors: np.ndarray, content: ItemContent) -> None:
    """Write `items.parquet`; `column` is the name of the ids.

    Raises:
        BundleError: a column of the towers has that name.
    """
    matrices = {names.VECTOR: vectors, names.LATENT: content.latents, names.FEATURES: content.features}
    if column in matrices:
        raise BundleError(f"column '{column}': the towers have their own column of this name; rename it")
    table = pa.table({column: ids} | {name: _matrix(values) for name, values in matrices.items()})
    # Features repeat and are mostly zeros; the floats of vectors do neither.
    _write(path, table, [column, f"{names.FEATURES}.list.element"])


def write_users(path: Path, ids: pa.Array, vectors: np.ndarray, histories: Lists) -> None:
    """Write `users.parquet`."""
    history = pa.ListArray.from_arrays(
        pa.array(histories.starts.astype(np.int32)), pa.array(histories.values.astype(np.int32))
    )
    table = pa.table({names.USER_ID: ids, names.VECTOR: _matrix(vectors), names.HISTORY: history})
    _write(path, table, [names.USER_ID, f"{names.HISTORY}.list.element"])


def write_facts(path: Path, facts: TowerFacts) -> None:
    """Write `towers.json`."""
    path.write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _write(path: Path, table: pa.Table, packed: list[str]) -> None:
    dense = [f"{name}.list.element" for name in (names.VECTOR, names.LATENT) if name in table.column_names]
    pq.write_table(
        table,
        path,
        row_group_size=ITEM_BLOCK,
        use_dictionary=packed,
        compression=dict.fromkeys(dense, "none") | dict.fromkeys(packed, "zstd"),
    )


def _matrix(values: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
