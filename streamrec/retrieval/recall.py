"""How many of the true neighbours the index finds, measured on the index that is published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamrec.retrieval.index import ItemIndex, Metric, VectorBatches, comparable, exact_search, normalised

RECALL_K = 10
RECALL_QUERIES = 1_000
SCORE_TOLERANCE = 1e-6
"""A returned item counts when its score is at least the exact k-th score less this, times the largest score
where that is above 1: ties are no misses."""


@dataclass(frozen=True)
class ExactNeighbours:
    """Queries and the score of each one's exact k-th neighbour."""

    queries: np.ndarray
    """(q, d), as the index compares them."""
    thresholds: np.ndarray
    """(q,) score of the exact k-th neighbour."""
    k: int
    tolerance: float
    """Allowance for ties, in the unit of the scores."""
    positions: np.ndarray | None = None
    """(q,) row positions of queries that are rows themselves, which are left out of their neighbours."""

    @classmethod
    def sample(cls, batches: VectorBatches, rows: int, seed: int) -> ExactNeighbours:
        """Up to 1,000 sampled rows, searched by cosine, in two passes over the vectors and bounded memory."""
        positions = np.sort(
            np.random.default_rng(seed).choice(rows, size=min(rows, RECALL_QUERIES), replace=False)
        )
        k = min(RECALL_K, rows - 1)
        queries = _rows_at(batches, positions)
        scores, found = exact_search(queries, (normalised(batch) for batch in batches()), k + 1)
        others, _ = without_self(scores, found, positions)
        thresholds = others[:, -1] if k else np.empty(0, dtype=np.float32)
        return cls(queries, thresholds, k, SCORE_TOLERANCE, positions)

    @classmethod
    def of(
        cls, queries: np.ndarray, batches: VectorBatches, rows: int, metric: Metric, seed: int
    ) -> ExactNeighbours:
        """Up to 1,000 of the queries (q, d), by seed, that are no rows of the index themselves."""
        chosen = np.random.default_rng(seed).permutation(len(queries))[:RECALL_QUERIES]
        sampled, k = comparable(queries[np.sort(chosen)], metric), min(RECALL_K, rows)
        scores, _ = exact_search(sampled, (comparable(batch, metric) for batch in batches()), k)
        scale = max(1.0, float(np.abs(scores).max(initial=0.0)))
        return cls(sampled, scores[:, -1], k, SCORE_TOLERANCE * scale)

    def recall(self, index: ItemIndex) -> float:
        """Tie-aware recall@k of `index` over the sample, in [0, 1]; 1 when an item has no neighbour."""
        if self.k == 0:
            return 1.0
        if self.positions is None:
            scores, rows = index.search(self.queries, self.k)
        else:
            found, positions = index.search(self.queries, self.k + 1)
            scores, rows = without_self(found, positions, self.positions)
        hits = (scores >= self.thresholds[:, None] - self.tolerance) & (rows >= 0)
        return float(hits.mean())

    def widen(self, index: ItemIndex, min_recall: float) -> float:
        """Raise `index.nprobe` to the least with a recall of at least `min_recall`; returns that recall."""
        recall, too_few = self.recall(index), 0
        while recall < min_recall and index.nprobe is not None and index.nprobe < (index.lists or 0):
            too_few = index.nprobe
            index.nprobe = min(index.nprobe + max(1, index.nprobe // 4), index.lists or 0)
            recall = self.recall(index)
        enough = index.nprobe
        while enough is not None and enough - too_few > 1:
            index.nprobe = (too_few + enough) // 2
            found = self.recall(index)
            if found >= min_recall:
                enough, recall = index.nprobe, found
            else:
                too_few = index.nprobe
        index.nprobe = enough
        return recall


def without_self(scores: np.ndarray, positions: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop each row's own position from its (q, k + 1) results, or the last one where it is not there."""
    drop = positions == own[:, None]
    drop[~drop.any(axis=1), -1] = True
    shape = (len(positions), positions.shape[1] - 1)
    return scores[~drop].reshape(shape), positions[~drop].reshape(shape)


def _rows_at(batches: VectorBatches, positions: np.ndarray) -> np.ndarray:
    parts, start = [], 0
    for batch in batches():
        low, high = np.searchsorted(positions, [start, start + len(batch)])
        parts.append(normalised(batch[positions[low:high] - start]))
        start += len(batch)
    return np.concatenate(parts)
