"""Small events and recommenders whose scores are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.evaluate import evaluate
from streamrec.evaluation.ranking.protocol import Positions
from streamrec.evaluation.ranking.quality import RankingQuality
from streamrec.evaluation.ranking.slices import ItemGroups
from streamrec.interactions.table import Interactions

Qualities = list[RankingQuality]


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


USERS, ITEMS = 150, 80
GENRES = pa.array([["even"] if item % 2 == 0 else ["odd", "third"] for item in range(ITEMS)])


def judged_trials(part: str = "all items", names: tuple[str, ...] = ("good", "fair", "random")) -> Qualities:
    """Recommenders that see the test through little, more and only noise, under the seeds 0 and 1."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        seen, test = (random_events(USERS, ITEMS, 0.06, rng) for _ in range(2))
        candidates = np.arange(ITEMS) >= 50 if part == "cold" else None
        for name, noise in zip(names, (0.4, 0.8, 50.0), strict=True):
            matrix = test.matrix().toarray() + noise * rng.normal(size=(USERS, ITEMS))
            found.append(evaluate(Given(name, matrix), seen, test, candidates, seed))
    return found


def compared(
    main: str,
    baselines: list[str] | None = None,
    column: str = "genre",
    names: tuple[str, ...] = ("good", "fair", "random"),
) -> RankingComparison:
    """Them side by side, on all items and on cold ones."""
    parts = {part: judged_trials(part, names) for part in ("all items", "cold")}
    groups = [ItemGroups.of(column, GENRES)]
    return RankingComparison.of("user", "Because.", parts, main, baselines, groups=groups, replicates=200)
