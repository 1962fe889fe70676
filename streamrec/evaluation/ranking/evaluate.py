"""`evaluate`: rank every item for every user with test items, seen items masked, and keep the first ranks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from streamrec.errors import EvaluationError
from streamrec.evaluation.ranking.metrics import CUTOFFS
from streamrec.evaluation.ranking.protocol import Recommender
from streamrec.evaluation.ranking.quality import RankingQuality
from streamrec.evaluation.ranking.top import tie_order, top_items
from streamrec.interactions.table import Interactions

BLOCK_SCORES = 1 << 21
"""Scores held at once: 8 MB of them, and about 40 MB of what ranking them needs; more are slower."""

Mask = NDArray[np.bool_]


def evaluate(
    recommender: Recommender, seen: Interactions, test: Interactions, candidates: Mask | None, seed: int
) -> RankingQuality:
    """Judge full rankings.

    A user's relevant items are those of `test` that are candidates and that the user has not seen; users
    without any are left out. Every candidate a user has not seen is ranked. Equal scores are ranked in an
    order of the items drawn by the seed.

    Args:
        recommender: gives the scores.
        seen: events before the test (training, and validation when it was refitted with it): masked, and
            the counts behind novelty, popularity and activity.
        test: events to find.
        candidates: (I,) items that may be recommended; None for all.
        seed: of the order of ties; also the name of the trial.

    Raises:
        EvaluationError: `seen` and `test` are not of one catalogue and one set of users, nobody has a
            relevant item, or a score is NaN, +inf or missing.
    """
    return evaluate_parts(recommender, seen, test, {"": candidates}, seed)[""]


def evaluate_parts(
    recommender: Recommender,
    seen: Interactions,
    test: Interactions,
    parts: Mapping[str, Mask | None],
    seed: int,
) -> dict[str, RankingQuality]:
    """As `evaluate`, for several sets of candidates from one pass of scores; `cold_parts` names the usual.

    Raises:
        EvaluationError: as `evaluate`, also where any part has nothing relevant.
    """
    _check(recommender, seen, test, parts)
    users, items = len(seen.user_ids), len(seen.item_ids)
    seen_items, places = seen.matrix(), tie_order(items, seed)
    found = test.matrix()
    # Seen items leave the relevant ones, for they can never be recommended.
    found = (found - found.multiply(seen_items)).tocsr()
    found.eliminate_zeros()
    allowed = {name: np.ones(items, bool) if mask is None else mask for name, mask in parts.items()}
    wanted = {name: _relevant(found, mask) for name, mask in allowed.items()}
    for name, matrix in wanted.items():
        if matrix.nnz == 0:
            raise EvaluationError(
                f"{name or 'test'}: none of {len(test):,} test events is of a candidate that its user "
                "has not seen; expected at least one, so test on another share or set of candidates"
            )
    counts = {name: np.diff(matrix.indptr) for name, matrix in wanted.items()}
    judged = np.flatnonzero(sum(counts.values()))
    tops: dict[str, list[NDArray[np.int32]]] = {name: [] for name in parts}
    hits: dict[str, list[Mask]] = {name: [] for name in parts}
    block = max(1, BLOCK_SCORES // items)
    for start in range(0, len(judged), block):
        asked = judged[start : start + block]
        scores = _scores(recommender, asked, items)
        for name, mask in allowed.items():
            rows = np.flatnonzero(counts[name][asked])
            top = _ranked(scores[rows], seen_items[asked[rows]], mask, places)
            tops[name].append(top.astype(np.int32))
            hits[name].append(_hits(top, wanted[name][asked[rows]], items))
    return {
        name: RankingQuality(
            recommender=recommender.name,
            seed=seed,
            users=(kept := np.flatnonzero(counts[name])),
            top=np.concatenate(tops[name]),
            hits=np.concatenate(hits[name]),
            starts=np.concatenate([[0], np.cumsum(counts[name][kept])]).astype(np.int64),
            relevant_items=matrix.indices.astype(np.int32),
            candidates=allowed[name],
            seen_users=np.bincount(seen_items.indices, minlength=items),
            all_users=users,
            activity=np.diff(seen_items.indptr)[kept].astype(np.int64),
        )
        for name, matrix in wanted.items()
    }


def cold_parts(cold: Mask) -> dict[str, Mask | None]:
    """Candidates of the three readings of a test: overall, warm items only, cold items only.

    Args:
        cold: (I,) items without training events. A part that nobody's test reaches must be left out.
    """
    return {"overall": None, "warm": ~cold, "cold": cold}


def _check(
    recommender: Recommender, seen: Interactions, test: Interactions, parts: Mapping[str, Mask | None]
) -> None:
    for what, mine, theirs in (
        ("items", seen.item_ids, test.item_ids),
        ("users", seen.user_ids, test.user_ids),
    ):
        if mine is not theirs and not mine.equals(theirs):
            raise EvaluationError(
                f"{recommender.name}: seen and test events know {len(mine):,} and {len(theirs):,} {what}, "
                f"not the same ones; take both from one split"
            )
    for name, mask in parts.items():
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != (len(seen.item_ids),)):
            raise EvaluationError(
                f"{name or 'candidates'}: {mask.dtype} {mask.shape}, expected a mask of "
                f"{len(seen.item_ids):,} items"
            )


def _scores(recommender: Recommender, users: NDArray[np.int64], items: int) -> NDArray[np.float32]:
    scores = recommender.scores(users)
    if scores.shape != (len(users), items):
        raise EvaluationError(
            f"{recommender.name}: scores {scores.shape}, expected {(len(users), items)}, a row per user "
            "asked for and a column per item of the catalogue"
        )
    return scores


def _relevant(test: sp.csr_matrix, mask: Mask) -> sp.csr_matrix:
    kept = (test @ sp.diags_array(mask.astype(np.float32))).tocsr()
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def _ranked(
    scores: NDArray[np.float32], seen: sp.csr_matrix, mask: Mask, places: NDArray[np.int64]
) -> NDArray[np.int64]:
    masked = np.repeat(~mask[None, :], len(scores), axis=0)
    masked[np.repeat(np.arange(len(scores)), np.diff(seen.indptr)), seen.indices] = True
    return top_items(scores, masked, places, max(CUTOFFS))


def _hits(top: NDArray[np.int64], relevant: sp.csr_matrix, items: int) -> Mask:
    rows = np.arange(len(top), dtype=np.int64)
    known = np.repeat(rows, np.diff(relevant.indptr)) * items + relevant.indices
    asked = rows[:, None] * items + top
    at = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
    return (known[at] == asked) & (top >= 0) if len(known) else np.zeros(top.shape, bool)
