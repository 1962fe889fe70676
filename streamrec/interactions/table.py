"""`Interactions`: events of users with items, as positions; `Histories`: them by user, in time order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Interactions:
    """Events (n,) by rising time; ties keep the order of the user, then the item, then the file.

    Every user and item that can be asked for has a position, with or without events.
    """

    users: Positions
    """(n,) positions in `user_ids`."""
    items: Positions
    """(n,) positions in `item_ids`."""
    times: NDArray[np.int64]
    """(n,) microseconds since 1970, UTC; 0 everywhere where no times are known."""
    weights: NDArray[np.float32]
    """(n,) ratings or weights; 1 where none are known."""
    user_ids: pa.Array
    """(U,) ids, no two alike."""
    item_ids: pa.Array
    """(I,) ids of the catalogue, in its order."""

    def __len__(self) -> int:
        return len(self.users)

    def select(self, rows: NDArray[Any]) -> Interactions:
        """Events at rising positions or where a mask (n,) is true; users and items keep their positions."""
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            times=self.times[rows],
            weights=self.weights[rows],
        )

    def matrix(self) -> sp.csr_matrix:
        """(U, I) float32, 1 where the user has the item, however often; indices of a row rise."""
        shape = (len(self.user_ids), len(self.item_ids))
        found = sp.csr_matrix((np.ones(len(self), np.float32), (self.users, self.items)), shape=shape)
        found.sum_duplicates()
        found.data[:] = 1
        return found

    def item_counts(self) -> NDArray[np.int64]:
        """(I,) events of each item."""
        return np.bincount(self.items, minlength=len(self.item_ids))

    def histories(self) -> Histories:
        """Each user's items."""
        order = np.argsort(self.users, kind="stable")
        counts = np.bincount(self.users, minlength=len(self.user_ids))
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Histories(starts, self.items[order], self.times[order])


@dataclass(frozen=True)
class Histories:
    """Items of each of U users in time order: those of user u at `starts[u]` to `starts[u + 1]`."""

    starts: Positions
    """(U + 1,)."""
    items: Positions
    """(n,)."""
    times: NDArray[np.int64]
    """(n,) microseconds since 1970."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Positions:
        """(U,) events of each user."""
        return np.diff(self.starts)

    def of(self, user: int) -> Positions:
        """Items of a user, the oldest first."""
        return self.items[self.starts[user] : self.starts[user + 1]]
