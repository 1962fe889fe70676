"""`Recommendations`: items for users of a bundle, for histories, and users for items. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import to_arrow
from streamrec.retrieval.ids import Id
from streamrec.retrieval.items import ItemTable, Where
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.search import Neighbours
from streamrec.retrieval.tower_search import TowerSearch


@dataclass(frozen=True)
class UserScores:
    """Users, the best first."""

    ids: list[Id]
    """(k,) their ids."""
    scores: np.ndarray
    """(k,) float32 inner products, or cosines of users like a user."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class BatchRecommendations:
    """The best items for each of many users."""

    user_ids: pa.Array | pa.ChunkedArray
    """(u,)."""
    positions: np.ndarray
    """(u, k) int64 rows of the bundle's items, best first; -1 where a user has fewer."""
    scores: np.ndarray
    """(u, k) float32 inner products; -inf where a user has fewer."""
    item_ids: pa.ChunkedArray
    """(items,) ids of the bundle."""

    def table(self) -> pa.Table:
        """A row per recommendation: user_id, rank (from 1), item_id, score."""
        users, ranks = np.nonzero(self.positions >= 0)
        return pa.table(
            {
                "user_id": self.user_ids.take(to_arrow(users)),
                "rank": pa.array((ranks + 1).astype(np.int32)),
                "item_id": self.item_ids.take(to_arrow(self.positions[users, ranks])),
                "score": pa.array(self.scores[users, ranks]),
            }
        )


class Recommendations:
    """What the towers of a bundle recommend; safe to use from several threads at once."""

    def __init__(self, towers: TowerSearch, items: ItemTable) -> None:
        self.towers = towers
        self.items = items

    def for_user(
        self, user_id: Id, k: int = 10, where: Where | None = None, exclude_seen: bool = False
    ) -> Neighbours:
        """The `k` best items for a user that the bundle knows.

        Args:
            user_id: an id of the bundle; the text `7` finds the integer id 7.
            k: items wanted, at least 1.
            where: column -> value or values; with a filter the result is exact, whatever the index.
            exclude_seen: leave out the items of the user's history; exact as well.

        Raises:
            BundleError: unknown user, column or value; `k` below 1.
        """
        position = np.array([self.towers.users.position(user_id)])
        seen = self.towers.histories.take(position) if exclude_seen else None
        return self.for_vectors(self.towers.user_index.vectors(position), k, where, seen)[0]

    def for_vectors(
        self, vectors: np.ndarray, k: int = 10, where: Where | None = None, without: Lists | None = None
    ) -> list[Neighbours]:
        """The `k` best items for each user vector (q, d): of histories, see `TowerEncoder`.

        Args:
            vectors: as the towers make them.
            k: items wanted per vector, at least 1.
            where: as for `for_user`.
            without: per vector, positions of items to leave out.

        Raises:
            BundleError: a vector of another dimension or not finite; unknown column or value; `k` below 1.
        """
        rows = self.items.mask(where) if where else None
        found = self.towers.items_for(vectors, k, rows, without)
        return [self._items(scores, positions) for scores, positions in zip(*found, strict=True)]

    def for_users(
        self,
        user_ids: Iterable[Id] | pa.Array | None = None,
        k: int = 10,
        where: Where | None = None,
        exclude_seen: bool = False,
    ) -> BatchRecommendations:
        """The `k` best items for each of many users, or for all.

        Raises:
            BundleError: as `for_user`.
        """
        towers = self.towers
        if user_ids is None:
            positions, ids = np.arange(len(towers.users)), towers.users.column
        else:
            positions = towers.users.positions(user_ids)
            ids = towers.users.column.take(to_arrow(positions))
        rows = self.items.mask(where) if where else None
        seen = towers.histories.take(positions) if exclude_seen else None
        scores, found = towers.items_for(towers.user_index.vectors(positions), k, rows, seen)
        return BatchRecommendations(ids, found, scores, self.items.ids.column)

    def users_like(self, user_id: Id, k: int = 10) -> UserScores:
        """The `k` other users whose vectors point most nearly the same way, by cosine.

        Raises:
            BundleError: unknown user; `k` below 1.
        """
        return self._users(*self.towers.users_like(self.towers.users.position(user_id), k))

    def users_for(self, item_id: Id, k: int = 10) -> UserScores:
        """The `k` users with the highest inner product with an item of the bundle.

        Raises:
            BundleError: unknown item; `k` below 1.
        """
        position = self.items.position(item_id)
        return self.users_for_vectors(self.towers.item_index.vectors(np.array([position])), k)[0]

    def users_for_vectors(self, vectors: np.ndarray, k: int = 10) -> list[UserScores]:
        """The `k` users with the highest inner product with each item vector (q, d): see `TowerEncoder`.

        Raises:
            BundleError: a vector of another dimension or not finite; `k` below 1.
        """
        found = self.towers.users_for(vectors, k)
        return [self._users(scores, positions) for scores, positions in zip(*found, strict=True)]

    def history(self, item_ids: Sequence[Id]) -> np.ndarray:
        """Positions (n,) of the items of a history, in its order, each once.

        Raises:
            BundleError: an item that the bundle does not have; a history of nothing.
        """
        if not item_ids:
            raise BundleError("history: found no item, expected at least one id")
        return np.array(list(dict.fromkeys(self.items.position(item_id) for item_id in item_ids)))

    def _items(self, scores: np.ndarray, positions: np.ndarray) -> Neighbours:
        there = positions >= 0
        found = positions[there]
        return Neighbours(
            items=self.items.take(found),
            scores=scores[there],
            positions=found,
            id_column=self.items.schema.item_id,
        )

    def _users(self, scores: np.ndarray, positions: np.ndarray) -> UserScores:
        there = positions >= 0
        return UserScores(
            self.towers.users.column.take(to_arrow(positions[there])).to_pylist(), scores[there]
        )
