"""Small events and recommenders whose scores are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.evaluation.ranking.protocol import Positions
from streamrec.interactions.table import Interactions


def events(pairs: list[tuple[int, int]], users: int, items: int) -> Interactions:
    """Events of the pairs (user, item), at no known time."""
    array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Interactions(
        users=array[:, 0],
        items=array[:, 1],
        times=np.zeros(len(array), np.int64),
        weights=np.ones(len(array), np.float32),
        user_ids=pa.array([f"u{n}" for n in range(users)]),
        item_ids=pa.array([f"i{n}" for n in range(items)]),
    )


@dataclass(frozen=True)
class Given:
    """Scores from a matrix."""

    name: str
    matrix: NDArray[np.float32]

    def scores(self, users: Positions) -> NDArray[np.float32]:
        return self.matrix[users].astype(np.float32)


def random_events(users: int, items: int, share: float, rng: np.random.Generator) -> Interactions:
    """Each pair with a chance of `share`."""
    found = np.argwhere(rng.random((users, items)) < share)
    return events([(int(u), int(i)) for u, i in found], users, items)
