"""`TowerModel`: what retrieval needs of a two-tower model, and how it is asked for many users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamrec.interactions.content import ItemContent


class TowerModel(Protocol):
    """Vectors of users and items whose inner products rank items for a user."""

    @property
    def dimension(self) -> int:
        """Entries of a vector."""

    def item_vectors(self, latents: np.ndarray, features: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        """(n, k) float32 of items, known to the model by id or not."""

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        """(u, k) float32 of users; a history holds rows of the item arrays given, none twice."""

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""


def vectors_of_users(
    towers: TowerModel,
    histories: list[np.ndarray],
    content: ItemContent,
    ids: Sequence[Any],
    user_features: np.ndarray | None = None,
) -> np.ndarray:
    """Vectors (u, k) of users by histories: positions in `content`, of which none is there twice.

    Only the items of these histories are handed to the model.
    """
    seen, rows = np.unique(np.concatenate([np.empty(0, np.int64), *histories]), return_inverse=True)
    ends = np.cumsum([len(history) for history in histories])
    own = np.split(rows.astype(np.int64), ends[:-1])
    known = content[seen]
    item_ids = [ids[position] for position in seen]
    return towers.user_vectors(own, known.latents, known.features, item_ids, user_features)
