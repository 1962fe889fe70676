"""Two-tower retrieval beside the classical recommenders on MovieLens 100K, full ranking, seen items masked.

    python benchmarks/two_tower.py [user time item] [--seeds N]

Positives are ratings of 4 and more. Settings are chosen on validation, everything is refitted to training
and validation, and the test is read once. The seed draws the split (except by time) and the models. By item,
only the held-out items are ranked, and codec and ItemVAE have seen none of them; content is genres and year.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.ingest import ingest
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig
from streamrec.evaluation.latents import feature_matrix
from streamrec.evaluation.ranking.comparison import RankingComparison
from streamrec.evaluation.ranking.evaluate import evaluate
from streamrec.evaluation.ranking.quality import RankingQuality
from streamrec.evaluation.ranking.tables import comparison_lines
from streamrec.fit import fit_item_encoder
from streamrec.interactions.content import ItemContent
from streamrec.interactions.file import load_interactions
from streamrec.interactions.ingest import ingest_interactions
from streamrec.interactions.settings import InteractionsConfig, SplitConfig
from streamrec.interactions.splits import Split, split
from streamrec.interactions.table import Interactions
from streamrec.recommenders.baselines import COLD, WARM, fit_baselines, tune
from streamrec.recommenders.fit_towers import TowersRecommender, fit_towers
from streamrec.recommenders.settings import TowersConfig

MOVIELENS = Path(__file__).parents[2] / "shared" / "data" / "ml-100k"
FEATURES = {
    "item_id": "item_id",
    "multi_label": [{"name": "class", "delimiter": " "}],
    "numeric": ["release_year"],
}
WHY = {
    "user": "A random fifth of each user's items is the test: comparable with published figures.",
    "time": "The last fifth of all events is the test: what a service meets.",
    "item": "All events of a fifth of the items are the test, and only those items are ranked.",
}


def read(folder: Path) -> tuple[Catalog, Interactions]:
    """The films, and the ratings of 4 and more."""
    config = RunConfig.model_validate(
        {"ingest": {"path": str(MOVIELENS / "ml-100k.item")}, "features": FEATURES}
    )
    assert config.ingest is not None
    assert config.features is not None
    catalog = ingest(config.ingest, config.features, folder).catalog
    ids = catalog.table([catalog.schema.item_id])[0].combine_chunks()
    ratings = InteractionsConfig(
        path=str(MOVIELENS / "ml-100k.inter"), rating="rating", timestamp="timestamp", min_rating=4
    )
    return catalog, load_interactions(ingest_interactions(ratings, ids, folder).path, ids)


def describe(catalog: Catalog, parts: Split, seed: int, folder: Path) -> ItemContent:
    """Latents and features of every item, by a codec and an ItemVAE that have not seen the held-out ones."""
    items = catalog.table()
    known = items if parts.cold is None else items.filter(pa.array(~parts.cold))
    pq.write_table(known, folder / "known.parquet")
    config = RunConfig.model_validate({"generate": {}, "seed": seed})
    encoder, _ = fit_item_encoder(Catalog(folder / "known.parquet", catalog.schema), config, folder)
    return ItemContent(
        encoder.encode(items), feature_matrix(encoder.codec.encode(items), encoder.codec.layout)
    )


def measure(catalog: Catalog, events: Interactions, kind: str, seed: int) -> dict[str, RankingQuality]:
    """Every recommender's ranking of one split's test."""
    parts = split(events, SplitConfig.model_validate({"kind": kind}), seed)
    with tempfile.TemporaryDirectory() as folder:
        content = describe(catalog, parts, seed, Path(folder))
    found = {}
    for name in COLD if kind == "item" else WARM:
        started = time.perf_counter()
        figure = "ndcg@20" if kind == "item" else "ndcg@10"
        tuned = tune([name], parts, content, figure, seed)[name]
        chosen = time.perf_counter()
        (recommender,) = fit_baselines({name: tuned.settings}, parts.fit, content, seed)
        fitted = time.perf_counter()
        found[name] = evaluate(recommender, parts.fit, parts.test, parts.cold, seed)
        words = ", ".join(f"{setting} {value}" for setting, value in tuned.settings.items())
        print(
            f"  seed {seed} {name}: {words or 'nothing to tune'}; {figure} {tuned.score:.4f} on validation, "
            f"{found[name].mean(figure):.4f} on the test; tuned in {chosen - started:.1f} s, fitted in "
            f"{fitted - chosen:.1f} s",
            flush=True,
        )
    started = time.perf_counter()
    fitted_towers = fit_towers(parts, content, None, TowersConfig(), seed)
    recommender = TowersRecommender.of(fitted_towers.towers, parts.fit, content, None)
    found[recommender.name] = evaluate(recommender, parts.fit, parts.test, parts.cold, seed)
    print(
        f"  seed {seed} {recommender.name}: half-life {fitted_towers.half_life_days} days, penalty "
        f"{fitted_towers.penalty}, {fitted_towers.towers.mixture}; in {time.perf_counter() - started:.1f} s",
        flush=True,
    )
    if seed == 0:
        print(f"  {parts.why} {len(next(iter(found.values())))} users are judged.", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=["user", "time", "item"])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog, events = read(Path(folder))
        print(f"{len(events):,} events of {len(events.user_ids)} users with {len(events.item_ids):,} items")
        for kind in given.kinds:
            print(f"{kind}:", flush=True)
            runs: dict[str, list[RankingQuality]] = defaultdict(list)
            for seed in range(given.seeds):
                for name, quality in measure(catalog, events, kind, seed).items():
                    runs[name].append(quality)
            judged = ("recall@20", "ndcg@20") if kind == "item" else ("ndcg@10", "recall@20")
            trials = [quality for qualities in runs.values() for quality in qualities]
            compared = RankingComparison.of(kind, WHY[kind], {"test": trials}, "two-tower", judged=judged)
            print("\n".join(comparison_lines(compared)), flush=True)


if __name__ == "__main__":
    main()
