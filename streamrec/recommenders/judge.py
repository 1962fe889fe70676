"""`Judge`: what is chosen by validation events, from scores that are made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluation.ranking.metrics import ndcg, recall
from streamrec.interactions.content import ItemContent
from streamrec.interactions.splits import Split
from streamrec.interactions.table import Interactions, Positions
from streamrec.recommenders.linear import LinearFactors
from streamrec.recommenders.popularity import Popularity
from streamrec.recommenders.towers import Mixture, Towers

LEARNED = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4)
LINEAR = (0.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)
POPULARITY = (0.5, 0.8, 1.0, 1.2, 1.5)
"""Values of the mixture that validation chooses from."""
GAIN = 1.01
"""A weight is changed only where the figure rises by this factor: smaller gains are luck."""
SCORES = 20_000_000
"""Scores held at once: of more users than fit, some are drawn."""
NDCG_AT, RECALL_AT = 10, 20
"""What is to be high: the geometric mean of NDCG@10 and recall@20."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judge:
    """Users with validation events, what they had seen before and what they were to be shown."""

    users: Positions
    """(m,)."""
    histories: list[Positions]
    """Items of each of them, none twice, rising."""
    relevant: NDArray[np.bool_]
    """(m, I)."""
    masked: NDArray[np.bool_]
    """(m, I) what cannot be recommended: seen before, or no candidate."""

    @classmethod
    def of(cls, split: Split, seed: int) -> Judge:
        """Of a split; of too many users, some drawn by seed."""
        items = len(split.train.item_ids)
        masked, relevant = split.train.matrix(), split.validation.matrix()
        users = np.flatnonzero(np.diff(relevant.indptr))
        most = max(SCORES // items, 1)
        if len(users) > most:
            users = np.sort(np.random.default_rng([seed, 12]).permutation(users)[:most])
        seen = masked[users].toarray() > 0
        if split.cold_validation is not None:
            seen |= ~split.cold_validation
        wanted = (relevant[users].toarray() > 0) & ~seen
        kept = wanted.any(axis=1)
        histories = [masked.indices[masked.indptr[u] : masked.indptr[u + 1]].astype(np.int64) for u in users]
        return cls(
            users[kept],
            [history for history, keep in zip(histories, kept, strict=True) if keep],
            wanted[kept],
            seen[kept],
        )

    def half_life(self, events: Interactions, choices: Sequence[float | None]) -> float | None:
        """That by which popularity alone ranks best."""
        return max(choices, key=lambda days: self.score(Popularity.of(events, days).now[None]))

    def linear(
        self, events: Interactions, content: Floats, penalties: Sequence[float], rank: int, seed: int
    ) -> tuple[float, LinearFactors]:
        """The penalty with which the linear part alone ranks best, and that part; see `LinearFactors.of`."""
        history = events.matrix()[self.users]
        tried = [(penalty, LinearFactors.of(events, content, penalty, rank, seed)) for penalty in penalties]
        return max(tried, key=lambda pair: self.score((history @ pair[1].history) @ pair[1].item.T))

    def mixture(
        self,
        towers: Towers,
        content: ItemContent,
        ids: Sequence[object],
        user_features: Floats | None,
    ) -> tuple[Mixture, float]:
        """The best weights of the parts, found one after another, twice over, and how well they rank."""
        features = None if user_features is None else user_features[self.users]
        users = towers.user_vectors(self.histories, content.latents, content.features, ids, features)
        parts = towers.item_parts(content.latents, content.features, ids)
        width = parts.learned.shape[1]
        learned = users[:, :width] @ parts.learned.T
        linear = users[:, width:-1] @ parts.linear.T
        grids = {"linear": LINEAR, "learned": LEARNED, "popularity": POPULARITY}
        if towers.linear is None:
            del grids["linear"]

        def ranks(mixture: Mixture) -> float:
            popular = mixture.popularity * parts.popularity
            return self.score(mixture.learned * learned + mixture.linear * linear + popular)

        best = Mixture()
        top = ranks(best)
        for _ in range(2):
            for name, values in grids.items():
                tried = [replace(best, **{name: value}) for value in values]
                found = [ranks(mixture) for mixture in tried]
                if max(found) > GAIN * top:
                    best, top = tried[int(np.argmax(found))], max(found)
        return best, top

    def score(self, scores: Floats) -> float:
        """How well scores (m, I), or one row for everybody, rank: 0 at worst, 1 at best."""
        ranked = np.where(self.masked, -np.inf, scores)
        top = np.argpartition(-ranked, min(RECALL_AT, ranked.shape[1]) - 1, axis=1)[:, :RECALL_AT]
        order = np.argsort(-np.take_along_axis(ranked, top, 1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, 1)
        hits = np.take_along_axis(self.relevant & ~self.masked, top, 1)
        wanted = self.relevant.sum(axis=1)
        return float(np.sqrt(ndcg(hits, wanted, NDCG_AT).mean() * recall(hits, wanted, RECALL_AT).mean()))
