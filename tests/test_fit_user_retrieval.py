"""Towers and their baselines on a handful of items: the same split, test events that stay unseen, padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig, RunConfig, parse_config
from streamrec.errors import SplitError
from streamrec.evaluation.ranking.tables import SCHEMA as RANKING_COLUMNS
from streamrec.fit import fit_item_encoder
from streamrec.fit_user_retrieval import (
    UserData,
    candidate_sets,
    choose_baselines,
    item_groups,
    judge_user_towers,
    load_user_data,
    train_user_towers,
    write_user_towers,
)
from streamrec.interactions.file import write_interactions
from streamrec.interactions.splits import split
from streamrec.recommenders.forms import RecommenderError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.content import encoded_features
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish import publish
from streamrec.retrieval.read_towers import open_towers
from streamrec.retrieval.tower_encoder import TowerEncoder
from streamrec.schema import FeatureSchema
from streamrec.user_config import UserRetrievalConfig

SCHEMA = FeatureSchema(item_id="id", categorical=("kind",), numeric=("price",))
ITEMS, USERS = 40, 24


def config(**settings: Any) -> UserRetrievalConfig:
    return parse_config(
        {
            "seed": 3,
            "interactions": {"path": "unread", "timestamp": "time"},
            "towers": {"train": {"epochs": 2}, "network": {"dimension": 4, "hidden": 8}},
            "evaluate": {"draws": 100},
        }
        | settings,
        model=UserRetrievalConfig,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("items")
    rows = np.arange(ITEMS)
    kinds, prices = [["book", "film"][i % 2] for i in rows], (rows * rows % 17).astype(float)
    pq.write_table(pa.table({"id": rows, "kind": kinds, "price": prices}), folder / "items.parquet")
    catalog = Catalog(folder / "items.parquet", SCHEMA)
    small = RunConfig.model_validate(
        {
            "generate": {},
            "model": {"latent_dim": 3, "hidden": [8]},
            "train": {"epochs": 1, "batch_size": 16, "device": "cpu"},
        }
    )
    encoder, _ = fit_item_encoder(catalog, small, folder)
    return publish(folder / "published", catalog, encoder, PublishConfig(), 3)


@pytest.fixture(scope="module")
def events(bundle: Bundle) -> Path:
    """Users who take items of one kind; items 36 and later only towards the end."""
    random = np.random.default_rng(4)
    who, what = [], []
    for user in range(USERS):
        chosen = random.choice(np.arange(user % 2, 36, 2), 9, replace=False)
        who += [f"u{user:02d}"] * 10
        what += [*chosen, 36 + user % 4]
    times = np.concatenate([[*random.integers(1, 900, 9), 901 + user] for user in range(USERS)])
    path = bundle.path.parents[1] / "events.parquet"
    ids = bundle.searcher.items.ids.column.combine_chunks()
    columns = (pa.array(who), pa.array(what), pa.array(np.ones(len(who), np.float32)))
    write_interactions(path, *columns, pa.array(times * 10**9, pa.timestamp("us")), ids)
    return path


@pytest.fixture(scope="module")
def data(bundle: Bundle, events: Path) -> UserData:
    return load_user_data(bundle, events, None)


def test_content_is_the_bundles_own(bundle: Bundle, data: UserData) -> None:
    encoder = ItemEncoder.load(bundle.path)
    raw = pq.read_table(bundle.path.parents[1] / "items.parquet")
    np.testing.assert_allclose(data.content.latents, encoder.encode(raw), atol=1e-6)
    np.testing.assert_array_equal(data.content.features, encoded_features(raw, encoder.codec))
    assert len(np.unique(data.content.features, axis=0)) > 2, "not by its kind alone"
    assert len(np.unique(data.content.latents, axis=0)) > 2


def test_users_without_a_row_have_features_of_nothing(bundle: Bundle, events: Path, tmp_path: Path) -> None:
    known = pa.table({"user": ["zz", "u01", "u00"], "land": ["x", "y", "x"], "age": [1.0, 2.0, 4.0]})
    pq.write_table(known, tmp_path / "users.parquet")
    schema = FeatureSchema(item_id="user", categorical=("land",), numeric=("age",))
    found = load_user_data(bundle, events, Catalog(tmp_path / "users.parquet", schema))
    assert found.events.user_ids.to_pylist()[:4] == ["zz", "u01", "u00", "u02"]
    assert found.user_features is not None
    assert found.user_codec is not None
    assert len(found.user_features) == USERS + 1
    assert found.user_features[:3].any(axis=1).all()
    assert not found.user_features[3:].any()
    train_user_towers(found, config(), tmp_path)
    write_user_towers(found, bundle, config(), tmp_path)
    assert (tmp_path / "towers" / "codec" / "codec.json").is_file()


def test_a_fit_is_judged_on_the_split_that_it_left_out(
    bundle: Bundle, data: UserData, tmp_path: Path
) -> None:
    calls: list[tuple[int, int | None]] = []
    trained = train_user_towers(data, config(), tmp_path, lambda done, total: calls.append((done, total)))
    assert calls[0] == (1, 2)
    assert len(trained.history.epochs) == 2
    judged = judge_user_towers(data, item_groups(bundle), config(), tmp_path)
    comparison = judged.comparison
    assert set(comparison.baselines) == {"popular", "recent-popular", "ease", "latent-profile"}
    assert list(comparison.parts) == ["overall", "warm", "cold"]
    assert comparison.parts["cold"].candidates == 4
    assert {cut.kind for cut in comparison.slices["two-tower"]} == {"activity", "kind"}
    assert judged.figures["ndcg@10"] == comparison.first.figures["two-tower"]["ndcg@10"].mean
    assert "ranking/cold/ease/recall@20" in judged.metrics()
    table = pq.read_table(tmp_path / "rankings" / "rankings.parquet")
    assert table.schema.equals(RANKING_COLUMNS)


def test_published_vectors_read_every_event_and_new_items_read_as_those_published(
    bundle: Bundle, data: UserData, tmp_path: Path
) -> None:
    train_user_towers(data, config(), tmp_path)
    facts = write_user_towers(data, bundle, config(), tmp_path)
    assert (facts.items, facts.users) == (ITEMS, USERS)
    assert facts.encoder_fingerprint == bundle.manifest.encoder_fingerprint
    towers = open_towers(tmp_path / "towers")
    assert towers.histories.lengths.tolist() == [10] * USERS
    # An item without training events is made of its content alone, from the bundle or from a raw row.
    raw = pq.read_table(bundle.path.parents[1] / "items.parquet").slice(39, 1)
    made = TowerEncoder.load(tmp_path / "towers").items(raw, ItemEncoder.load(bundle.path))
    np.testing.assert_allclose(made, towers.item_index.vectors(np.array([39])), atol=1e-5)


def test_the_same_seed_gives_the_same_towers(data: UserData, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        train_user_towers(data, config(seed=seed), tmp_path / name)
    one, same, other = (
        (tmp_path / name / "two_tower" / "weights.safetensors").read_bytes()
        for name in ("one", "same", "other")
    )
    assert one == same
    assert one != other


def test_where_items_are_held_out_they_are_what_is_judged(data: UserData) -> None:
    kind = {"split": {"kind": "item"}}
    parts = split(data.events, config(**kind).split, 3)
    sets = candidate_sets(parts)
    assert list(sets) == ["cold", "overall"]
    assert parts.cold is not None
    np.testing.assert_array_equal(sets["cold"], parts.cold)
    assert choose_baselines(config(**kind), ITEMS)[0] == [
        "popular",
        "content-knn",
        "content-ridge",
        "latent-profile",
    ]


def test_a_baseline_that_cannot_be_fitted_is_left_out_unless_it_was_asked_for() -> None:
    names, left_out = choose_baselines(config(), 10**6)
    assert names == ["popular", "recent-popular", "latent-profile"]
    assert len(left_out) == 1
    assert "ease left out: 1,000,000 items" in left_out[0]
    with pytest.raises(RecommenderError, match="ease cannot be fitted"):
        choose_baselines(config(baselines=["ease"]), 10**6)


def test_events_of_one_time_cannot_be_split_by_time(bundle: Bundle, tmp_path: Path) -> None:
    ids = bundle.searcher.items.ids.column.combine_chunks()
    columns = (pa.array(["a", "b", "c"]), pa.array([0, 1, 2]), pa.array([1.0, 1.0, 1.0]))
    write_interactions(tmp_path / "e.parquet", *columns, pa.nulls(3, pa.timestamp("us")), ids)
    with pytest.raises(SplitError, match="all events have the same time"):
        train_user_towers(load_user_data(bundle, tmp_path / "e.parquet", None), config(), tmp_path)
