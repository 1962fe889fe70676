"""Answers as JSON, built without a model per row."""

from __future__ import annotations

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
    """Items best first, from scores (k,) and rows (k,); rows below 0 are none."""
    if len(positions) and positions[-1] < 0:
        there = positions >= 0
        scores, positions = scores[there], positions[there]
    # Scores stay float32: their shortest decimal form has half the digits.
    items = [
        {"id": item_id, "score": score}
        for item_id, score in zip(served.items.ids(positions), list(scores), strict=True)
    ]
    if features:
        for item, cells in zip(items, served.features(positions), strict=True):
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
