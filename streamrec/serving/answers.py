"""Answers as JSON, built without a model per row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from streamrec.serving.endpoint import Answer
from streamrec.serving.problems import Problem
from streamrec.serving.served import Served
from streamrec.serving.settings import LimitsConfig

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def answer(served: Served, content: dict[str, Any]) -> Answer:
    """An answer that names the version it came from."""
    return Answer(orjson.dumps({"bundle": served.version, **content}, option=_OPTIONS, default=str))


def ranked(served: Served, scores: np.ndarray, positions: np.ndarray, features: bool) -> list[dict[str, Any]]:
    """Items best first, from scores (k,) and rows (k,); the last rows may be -1, which is none."""
    rows = positions.tolist()
    while rows and rows[-1] < 0:
        rows.pop()
    return listed(served, scores, rows, features)


def ranked_many(
    served: Served, scores: np.ndarray, positions: np.ndarray, features: bool
) -> list[list[dict[str, Any]]]:
    """As `ranked`, of many queries: scores and rows (q, k)."""
    if features or not positions.size or positions.min() < 0:
        return [ranked(served, *row, features) for row in zip(scores, positions, strict=True)]
    # All at once: a call for each query takes longer than its items.
    ids = served.items.ids_at(positions.ravel())
    items = [{"id": item_id, "score": score} for item_id, score in zip(ids, scores.ravel(), strict=True)]
    k = positions.shape[1]
    return [items[start : start + k] for start in range(0, len(items), k)]


def listed(
    served: Served, scores: Iterable[np.float32], rows: list[int], features: bool
) -> list[dict[str, Any]]:
    """Items as an answer shows them, from rows and at least as many scores."""
    # Scores stay float32: their shortest decimal form has half the digits.
    items: list[dict[str, Any]] = [
        {"id": item_id, "score": score}
        for item_id, score in zip(served.items.ids(rows), scores, strict=False)
    ]
    if features:
        for item, cells in zip(items, served.features(np.array(rows, np.int64)), strict=True):
            item["features"] = cells
    return items


def check_size(limits: LimitsConfig, k: int, queries: int = 1) -> None:
    """Refuse to answer with more than the limits allow.

    Raises:
        Problem: `k`, the number of queries, or both together are too large.
    """
    if k > limits.max_k:
        raise Problem(422, f"k: found {k}, expected at most {limits.max_k}")
    if queries > limits.max_batch:
        raise Problem(
            422, f"found {queries} queries, expected at most {limits.max_batch}", "send several requests"
        )
    if k * queries > limits.max_results:
        raise Problem(
            422,
            f"found {queries} queries of {k} items, expected at most {limits.max_results} items in all",
            "ask for fewer items, or send several requests",
        )
