import hashlib
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy import stats

from streamrec.catalog.generate import generate
from streamrec.config import GenerateConfig
from streamrec.errors import CatalogError, ConfigError
from streamrec.interactions import generate as generator
from streamrec.interactions.generate import (
    EVENT_ARROW_SCHEMA,
    GenerateInteractionsConfig,
    InteractionFiles,
    generate_interactions,
)
from streamrec.interactions.generate_items import read_items
from streamrec.interactions.generate_truth import TrueRelevance
from streamrec.interactions.generate_users import USER_ARROW_SCHEMA

EVENTS = 40_000


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    paths = folder / "items.parquet", folder / "truth.parquet"
    generate(GenerateConfig(preset="structured", items=2_000), *paths)
    return paths


@pytest.fixture(scope="module")
def made(catalogue, tmp_path_factory):
    """Events, users and truth, drawn in six chunks."""
    folder = tmp_path_factory.mktemp("interactions")
    files = InteractionFiles(folder / "events.parquet", folder / "users.parquet", folder / "truth.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "CHUNK_EVENTS", 7_000)
        generate_interactions(GenerateInteractionsConfig(users=1_000, events=EVENTS), *catalogue, files)
    return pq.read_table(files.events), pq.read_table(files.users), TrueRelevance.load(files.truth)


def numbers(made):
    """Users and items by position, and times, of all events."""
    events, _, truth = made
    users = pc.index_in(events["user_id"], truth.user_ids).to_numpy()
    items = pc.index_in(events["item_id"], truth.item_ids).to_numpy()
    return users.astype(np.int64), items.astype(np.int64), events["timestamp"].to_numpy().astype(np.int64)


def test_files_have_the_rows_and_columns_asked_for(made, catalogue):
    events, users, truth = made
    assert (events.schema, len(events)) == (EVENT_ARROW_SCHEMA, EVENTS)
    assert (users.schema, len(users)) == (USER_ARROW_SCHEMA, 1_000)
    assert truth.item_ids.equals(pq.read_table(catalogue[0])["item_id"].combine_chunks())
    assert truth.user_ids.equals(users["user_id"].combine_chunks())


def test_events_are_sorted_across_chunks_and_no_pair_comes_twice(made):
    users, items, times = numbers(made)
    assert np.array_equal(np.lexsort((items, users, times)), np.arange(EVENTS))
    assert len(np.unique(users * 2_000 + items)) == EVENTS


def test_events_lie_in_2024_at_an_even_rate(made):
    *_, times = numbers(made)
    assert times.min() >= np.datetime64("2024-01-01", "us").astype(np.int64)
    assert times.max() < np.datetime64("2025-01-01", "us").astype(np.int64)
    assert stats.kstest(times, "uniform", args=(times.min(), np.ptp(times))).pvalue > 1e-3


def test_nobody_clicks_before_joining_nor_an_item_before_its_publication(made, catalogue):
    users, items, times = numbers(made)
    joined = made[1]["joined_at"].to_numpy().astype(np.int64)
    published = pq.read_table(catalogue[0])["published_at"].to_numpy().astype(np.int64)
    assert (times >= joined[users]).all()
    assert (times >= published[items]).all()
    assert (published[items] > times.min()).mean() > 0.1  # the rule had something to forbid


def test_truth_tells_clicked_items_from_equally_popular_ones(made):
    users, items, times = numbers(made)
    truth = made[2]
    rng = np.random.default_rng(0)
    # The items of other users' clicks at about the same time: as popular, as new, shown as high.
    others = items[np.clip(np.arange(EVENTS) + rng.integers(-500, 500, EVENTS), 0, EVENTS - 1)]
    clicked, other = (truth.probability(users, some, times) for some in (items, others))
    auc = stats.mannwhitneyu(clicked, other).statistic / EVENTS**2
    assert auc > 0.65
    assert clicked.mean() > other.mean() + 0.1


def test_weights_follow_the_taste_and_not_the_popularity(made):
    users, items, times = numbers(made)
    truth, weight = made[2], made[0]["weight"].to_numpy()
    assert set(np.unique(weight)) == {1, 2, 3, 4, 5}
    assert np.bincount(weight.astype(int))[1:].min() > 0.05 * EVENTS
    fit = truth.fit(truth.taste(users, times), items)
    assert stats.spearmanr(weight, fit).statistic > 0.7
    best, worst = fit[weight == 5], fit[weight == 1]
    assert best.mean() > worst.mean() + 2


def test_half_of_the_popularity_can_be_read_off_the_views(catalogue):
    popularity = read_items(*catalogue, seed=3).popularity
    views = np.log(pq.read_table(catalogue[1])["views"].to_numpy())
    assert np.corrcoef(popularity, views)[0, 1] ** 2 == pytest.approx(0.5, abs=0.06)
    assert (popularity.mean(), popularity.std()) == pytest.approx((0, 1), abs=1e-5)
    again = read_items(*catalogue, seed=4).popularity
    assert np.corrcoef(popularity, again)[0, 1] == pytest.approx(0.5, abs=0.06)


def test_same_seed_gives_the_same_bytes_in_another_process_with_other_threads(catalogue, tmp_path):
    code = (
        "import sys; from pathlib import Path; from streamrec.interactions.generate import *\n"
        "paths = list(map(Path, sys.argv[1:]))\n"
        "config = GenerateInteractionsConfig(users=300, events=5_000)\n"
        "generate_interactions(config, *paths[:2], InteractionFiles(*paths[2:]))"
    )
    digests = set()
    for threads in ("1", "2"):
        paths = [tmp_path / f"{name}{threads}" for name in ("events", "users", "truth")]
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        arguments = [sys.executable, "-c", code, *map(str, catalogue), *map(str, paths)]
        subprocess.run(arguments, check=True, env=environment)
        digests.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths))
    assert len(digests) == 1


def test_another_seed_gives_other_events(catalogue, tmp_path):
    tables = []
    for seed in (1, 2):
        config = GenerateInteractionsConfig(users=50, events=500, seed=seed)
        generate_interactions(config, *catalogue, InteractionFiles(tmp_path / str(seed)))
        tables.append(pq.read_table(tmp_path / str(seed)))
    assert not tables[0]["item_id"].equals(tables[1]["item_id"])


def test_more_events_than_pairs_are_refused_and_nothing_is_left(tmp_path):
    paths = tmp_path / "items.parquet", tmp_path / "truth.parquet"
    generate(GenerateConfig(preset="structured", items=20), *paths)
    config = GenerateInteractionsConfig(users=10, events=1_000)
    with pytest.raises(ConfigError, match="found 1,000, but 10 users and 20 items"):
        generate_interactions(config, *paths, InteractionFiles(tmp_path / "events.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items.parquet", "truth.parquet"]


def test_files_that_do_not_belong_together_are_refused(catalogue, tmp_path):
    config, files = GenerateInteractionsConfig(events=10), InteractionFiles(tmp_path / "events.parquet")
    other = tmp_path / "items.parquet", tmp_path / "truth.parquet"
    generate(GenerateConfig(preset="structured", items=30), *other)
    with pytest.raises(CatalogError, match="not the truth of"):
        generate_interactions(config, catalogue[0], other[1], files)
    with pytest.raises(CatalogError, match="no column 'factors'"):
        read_items(catalogue[0], catalogue[0], 0)
    with pytest.raises(CatalogError, match="named for two"):
        generate_interactions(config, *catalogue, InteractionFiles(catalogue[0]))


def test_truth_can_be_put_in_the_order_of_other_ids(made):
    truth = made[2]
    users, items = pa.array(["user_0000007", "user_0000002"]), pa.array(["item_0000005"])
    some = truth.select(users, items)
    time = np.array([1_720_000_000_000_000])
    for position, user in enumerate((7, 2)):
        expected = truth.probability(np.array([user]), np.array([5]), time)
        assert some.probability(np.array([position]), np.array([0]), time) == expected
    with pytest.raises(CatalogError, match="user 'nobody'"):
        truth.select(pa.array(["nobody"]), items)
