"""`write_towers`: the vectors of all items and users, their indexes and the model, in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.interactions.table import Interactions
from streamrec.retrieval import towers as names
from streamrec.retrieval.index import ItemIndex
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.manifest import IndexSettings, MeasuredRecall, TowerFacts
from streamrec.retrieval.tower_files import (
    ITEM_BLOCK,
    checked,
    in_blocks,
    measured,
    write_facts,
    write_items,
    write_users,
)
from streamrec.retrieval.tower_model import TowerModel

USER_BLOCK = 8_192
"""Users whose vectors are made at once."""

Progress = Callable[[int, int | None], None]


class UserCodec(Protocol):
    """Makes the users' features that the model reads."""

    def save(self, folder: Path) -> None:
        """Write the codec into a folder."""


def write_towers(
    folder: Path,
    towers: TowerModel,
    content: ItemContent,
    seen: Interactions,
    encoder_fingerprint: str,
    config: PublishConfig,
    seed: int,
    *,
    item_column: str = "item_id",
    user_features: np.ndarray | None = None,
    user_codec: UserCodec | None = None,
    progress: Progress | None = None,
) -> TowerFacts:
    """Make the vectors of all items and users, index both, and write them and the model into `folder`.

    The same model, content, events, settings and seed give the same bytes.

    Args:
        folder: made where absent.
        towers: the trained model.
        content: of all items.
        seen: events of the users, which their vectors come from and recommendations may leave out. Its
            users and items are those that get vectors; its items are those of the bundle, in its order.
        encoder_fingerprint: of the bundle whose item embeddings the towers were trained on, see `Manifest`.
        config: kind of the indexes, and the recall that they must reach.
        seed: of the indexes' k-means and of the samples that measure recall.
        item_column: name of the column of item ids, that of the catalogue.
        user_features: (U, G) float32, where the model reads any.
        user_codec: what made them.
        progress: called with (vectors made, vectors in all).

    Raises:
        BundleError: lengths differ; an id is there twice; a vector is not finite or of another shape.
        OSError: the disk refuses.
    """
    _check_lengths(content, seen, user_features)
    folder.mkdir(parents=True, exist_ok=True)
    item_vectors = _item_vectors(towers, content, seen, progress)
    histories = seen_by(seen)
    user_vectors = _user_vectors(towers, content, seen, histories, user_features, progress)
    write_items(folder / names.ITEMS, item_column, seen.item_ids, item_vectors, content)
    write_users(folder / names.USERS, seen.user_ids, user_vectors, histories)
    item_index, item_recall = _index(folder / names.ITEM_INDEX, item_vectors, user_vectors, config, seed)
    user_index, user_recall = _index(folder / names.USER_INDEX, user_vectors, item_vectors, config, seed)
    facts = TowerFacts(
        items=len(item_vectors),
        users=len(user_vectors),
        dimension=towers.dimension,
        item_index=item_index,
        item_recall=item_recall,
        user_index=user_index,
        user_recall=user_recall,
        encoder_fingerprint=encoder_fingerprint,
        seed=seed,
    )
    write_facts(folder / names.FACTS, facts)
    towers.save(folder / names.MODEL)
    if user_codec is not None:
        user_codec.save(folder / names.CODEC)
    return facts


def seen_by(events: Interactions) -> Lists:
    """Positions of the items of each user, each once, those last seen last."""
    histories = events.histories()
    return Lists(histories.starts, histories.items).distinct()


def _check_lengths(content: ItemContent, seen: Interactions, user_features: np.ndarray | None) -> None:
    items, users = len(seen.item_ids), len(seen.user_ids)
    if not items or not users:
        raise BundleError(f"towers: found {items} items and {users} users, expected at least one of each")
    for what, found, expected in (
        ("items with content", len(content), items),
        ("users with features", users if user_features is None else len(user_features), users),
        ("different item ids", len(seen.item_ids.unique()), items),
        ("different user ids", len(seen.user_ids.unique()), users),
    ):
        if found != expected:
            raise BundleError(f"towers: found {found} {what}, expected {expected}; give one for each")


def _item_vectors(
    towers: TowerModel, content: ItemContent, seen: Interactions, progress: Progress | None
) -> np.ndarray:
    items = len(seen.item_ids)
    vectors = np.empty((items, towers.dimension), dtype=np.float32)
    for start in range(0, items, ITEM_BLOCK):
        rows = slice(start, min(start + ITEM_BLOCK, items))
        ids = seen.item_ids[rows.start : rows.stop].to_pylist()
        made = towers.item_vectors(content.latents[rows], content.features[rows], ids)
        vectors[rows] = checked(made, towers.dimension, "item", seen.item_ids[rows], start)
        if progress is not None:
            progress(rows.stop, items + len(seen.user_ids))
    return vectors


def _user_vectors(
    towers: TowerModel,
    content: ItemContent,
    seen: Interactions,
    histories: Lists,
    features: np.ndarray | None,
    progress: Progress | None,
) -> np.ndarray:
    users, items = len(seen.user_ids), len(seen.item_ids)
    vectors = np.empty((users, towers.dimension), dtype=np.float32)
    ids = seen.item_ids.to_pylist()
    for start in range(0, users, USER_BLOCK):
        rows = slice(start, min(start + USER_BLOCK, users))
        known = [histories.row(user) for user in range(rows.start, rows.stop)]
        given = None if features is None else features[rows]
        made = towers.user_vectors(known, content.latents, content.features, ids, given)
        vectors[rows] = checked(made, towers.dimension, "user", seen.user_ids[rows], start)
        if progress is not None:
            progress(items + rows.stop, items + users)
    return vectors


def _index(
    path: Path, vectors: np.ndarray, queries: np.ndarray, config: PublishConfig, seed: int
) -> tuple[IndexSettings, MeasuredRecall]:
    """Index the vectors, measure what is found for the queries, and write the index."""
    index = ItemIndex.build(
        config.index, in_blocks(vectors), len(vectors), vectors.shape[1], seed, metric="inner_product"
    )
    recall = measured(index, vectors, queries, config.min_recall, seed)
    index.save(path)
    return IndexSettings.of(index), recall
