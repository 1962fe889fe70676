"""Recommend 20 of 50,000 items to each of 100,000 users: users per second, beside the bare FAISS call.

    python benchmarks/recommend.py [--users N] [--items N] [--dimension D] [--rounds N] [--folder FOLDER]

The towers are not trained: a user's vector is the mean of the items seen, about ten by Zipf's law. Rounds
alternate; medians of the processor's seconds are compared, which a busy machine falsifies least.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from streamrec.config import PublishConfig
from streamrec.interactions.content import ItemContent
from streamrec.interactions.table import Interactions
from streamrec.retrieval.items import ItemTable
from streamrec.retrieval.read_towers import open_towers
from streamrec.retrieval.recommend import Recommendations
from streamrec.retrieval.tower_search import TowerSearch
from streamrec.retrieval.write_towers import write_towers
from streamrec.schema import FeatureSchema

CATEGORIES = 20
K = 20
EVENTS_PER_USER = 10
SCHEMA = FeatureSchema(item_id="item_id", categorical=("category",))


class MeanTowers:
    """An item's vector is its embedding, a user's the mean of the items seen."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def item_vectors(self, latents: np.ndarray, features: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        """(n, k)."""
        return latents

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        """(u, k)."""
        means = [latents[own].mean(axis=0) if len(own) else np.zeros(self.dimension) for own in histories]
        return np.array(means, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write a file, as any model does."""
        folder.mkdir()
        (folder / "model.json").write_text(json.dumps({"dimension": self.dimension}))


def make_towers(folder: Path, users: int, items: int, dimension: int) -> None:
    draw = np.random.default_rng(0)
    events = users * EVENTS_PER_USER
    popularity = 1 / np.arange(1, items + 1)
    activity = draw.permutation(1 / np.arange(1, users + 1) ** 0.5)
    seen = Interactions(
        draw.choice(users, size=events, p=activity / activity.sum()),
        draw.permutation(items)[draw.choice(items, size=events, p=popularity / popularity.sum())],
        np.arange(events),
        np.ones(events, dtype=np.float32),
        pa.array([f"user_{number:07d}" for number in range(users)]),
        pa.array([f"item_{number:07d}" for number in range(items)]),
    )
    latents = draw.normal(size=(items, dimension)).astype(np.float32)
    features = np.eye(CATEGORIES, dtype=np.float32)[np.arange(items) % CATEGORIES]
    content = ItemContent(latents, features)
    write_towers(folder, MeanTowers(dimension), content, seen, "0" * 64, PublishConfig(), 0)


def bare_call(towers: TowerSearch) -> Callable[[], Any]:
    """FAISS alone: vectors of all users against a flat index of all items."""
    queries = towers.user_index.vectors(np.arange(towers.facts.users))
    index = faiss.IndexFlatIP(towers.facts.dimension)
    index.add(towers.item_index.vectors(np.arange(towers.facts.items)))
    return lambda: index.search(queries, K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the towers here, and use again what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)) / "towers"
        if not folder.exists():
            start = time.perf_counter()
            make_towers(folder, arguments.users, arguments.items, arguments.dimension)
            print(f"{'vectors, indexes':<28}{time.perf_counter() - start:8.2f} s")
        start = time.perf_counter()
        towers = open_towers(folder)
        print(f"{'open and check':<28}{time.perf_counter() - start:8.2f} s")
    count, items = towers.facts.users, towers.facts.items
    categories = pa.array([f"c{number % CATEGORIES}" for number in range(items)])
    table = pa.table({"item_id": towers.items.column, "category": categories})
    recommendations = Recommendations(towers, ItemTable(table, SCHEMA, "benchmark"))
    ids = towers.users.column.combine_chunks()
    ways: dict[str, Callable[[], Any]] = {
        "bare FAISS call": bare_call(towers),
        "all users": lambda: recommendations.for_users(None, K),
        "by id, as a table": lambda: recommendations.for_users(ids, K).table(),
        "without seen items": lambda: recommendations.for_users(None, K, exclude_seen=True),
        "in one category": lambda: recommendations.for_users(None, K, {"category": "c3"}),
    }
    used: dict[str, list[float]] = {name: [] for name in ways}
    elapsed: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start, before = time.perf_counter(), time.process_time()
            way()
            used[name].append(time.process_time() - before)
            elapsed[name].append(time.perf_counter() - start)
    bare = median(used["bare FAISS call"])
    threads = faiss.omp_get_max_threads()
    print(f"{count:,} users, {items:,} items, {towers.facts.dimension} numbers, k {K}, {threads} threads:")
    for name in ways:
        rate, spent = count / median(elapsed[name]), median(used[name])
        print(f"  {name:<22}{rate:10,.0f} users/s {spent:8.2f} CPU s, {bare / spent:6.0%} of the bare call")
    sample = [f"user_{user:07d}" for user in np.random.default_rng(1).integers(0, count, 200)]
    start = time.perf_counter()
    for user in sample:
        recommendations.for_user(user, K, exclude_seen=True)
    rate = len(sample) / (time.perf_counter() - start)
    print(f"  {'one at a time, unseen':<26}{rate:10,.0f} users/s")


if __name__ == "__main__":
    main()
