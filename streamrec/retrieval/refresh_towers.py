"""Towers of a refreshed bundle: vectors for new and changed items, users as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.retrieval import towers as names
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.changes import Changes
from streamrec.retrieval.content import encoded_features
from streamrec.retrieval.embeddings import read_vectors, to_matrix
from streamrec.retrieval.index import ItemIndex
from streamrec.retrieval.manifest import EMBEDDINGS, TOWERS, IndexSettings, PublishedTowers
from streamrec.retrieval.tower_encoder import Load, load_towers
from streamrec.retrieval.tower_files import (
    checked,
    in_blocks,
    measured,
    write_facts,
    write_items,
    write_users,
)

TOWER_FILES = tuple(f"{TOWERS}/{name}" for name in (names.ITEMS, names.ITEM_INDEX, names.USERS, names.FACTS))
"""What is written anew; model, codec and the index of the users stay."""


def refresh_towers(
    folder: Path,
    bundle: Bundle,
    catalog: Catalog,
    changes: Changes,
    min_recall: float,
    load: Load | None = None,
) -> PublishedTowers | None:
    """Write the files `TOWER_FILES` into a new bundle's folder, which has its table of embeddings already.

    A new item's vector is made of its content alone; a changed one that the towers were trained on keeps what
    they learnt of it. Histories name the rows of the new table; what was removed leaves them, and users'
    vectors stay as they are.

    Returns:
        What the manifest says of them; None where the bundle has no towers.

    Raises:
        BundleError: a vector is not finite, or the towers read another number of features.
    """
    published = bundle.manifest.towers
    if published is None:
        return None
    source, target = bundle.path / TOWERS, folder / TOWERS
    target.mkdir()
    facts, recommendations = published.facts, bundle.recommender
    old = pq.read_table(source / names.ITEMS)
    latents = read_vectors(folder / EMBEDDINGS)
    fresh = np.flatnonzero(~changes.kept)
    ids = catalog.table([catalog.schema.item_id]).column(0).combine_chunks()
    vectors = to_matrix(old[names.VECTOR])[changes.positions]
    features = to_matrix(old[names.FEATURES])[changes.positions]
    if len(fresh):
        rows = catalog.rows(fresh)
        made = encoded_features(rows, FeatureCodec.load(bundle.path / "codec"))
        if made.shape[1] != features.shape[1]:
            raise BundleError(
                f"{source / names.ITEMS}: {features.shape[1]} encoded features, the bundle's codec makes "
                f"{made.shape[1]}; train the towers on this bundle"
            )
        features[fresh], own = made, ids.take(pa.array(fresh))
        model = (load or load_towers)(source / names.MODEL)
        found = model.item_vectors(latents[fresh], made, own.to_pylist())
        vectors[fresh] = checked(found, facts.dimension, "item", own)
    write_items(target / names.ITEMS, old.column_names[0], ids, vectors, ItemContent(latents, features))
    users = pq.read_table(source / names.USERS)
    user_vectors = to_matrix(users[names.VECTOR])
    histories = recommendations.towers.histories.renamed(_new_rows(changes, len(old)))
    write_users(target / names.USERS, users[names.USER_ID].combine_chunks(), user_vectors, histories)
    towers, seed = recommendations.towers, facts.seed
    item_index = _refilled(towers.item_index, vectors, changes)
    user_index = towers.user_index.view()
    item_recall = measured(item_index, vectors, user_vectors, min_recall, seed)
    user_recall = measured(user_index, user_vectors, vectors, min_recall, seed)
    item_index.save(target / names.ITEM_INDEX)
    facts = facts.model_copy(
        update={
            "items": len(ids),
            "item_index": IndexSettings.of(item_index),
            "item_recall": item_recall,
            "user_index": IndexSettings.of(user_index),
            "user_recall": user_recall,
        }
    )
    write_facts(target / names.FACTS, facts)
    return published.model_copy(update={"facts": facts})


def _refilled(index: ItemIndex, vectors: np.ndarray, changes: Changes) -> ItemIndex:
    known = None
    if index.kind == "ivf":
        known = np.where(changes.kept, index.assignments()[changes.positions], -1)
    return index.refilled(in_blocks(vectors), known)


def _new_rows(changes: Changes, items: int) -> np.ndarray:
    """(items,) the row that each item of the bundle has now; -1 where it was removed."""
    rows = np.full(items, -1, dtype=np.int64)
    there = changes.positions >= 0
    rows[changes.positions[there]] = np.flatnonzero(there)
    return rows
