"""Retrained towers against the published ones, for the same users among the items that both have."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_runs import SmallRun, train

from streamrec.config import dump_config, parse_config
from streamrec.fit_user_retrieval import (
    TOWERS,
    UserData,
    load_user_data,
    train_user_towers,
    write_user_towers,
)
from streamrec.interactions.ingest import ingest_interactions
from streamrec.interactions.splits import split
from streamrec.promotion.challenger import CONFIG
from streamrec.promotion.champion import NoChampion
from streamrec.promotion.champion_towers import (
    ChampionTowers,
    events_trained_on,
    find_champion_towers,
)
from streamrec.promotion.decision import Decision, Row
from streamrec.promotion.judge_towers import judge_towers
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.user_config import UserRetrievalConfig

USERS, PER_USER = 80, 30


def write_events(path: Path, item_ids: list[str], by_taste: bool = True) -> None:
    """Users who take items of their own eighth only; or any item at all."""
    random = np.random.default_rng(5)
    parts = np.array_split(np.arange(len(item_ids)), 8)
    rows = []
    for user in range(USERS):
        pool = parts[user % 8] if by_taste else np.arange(len(item_ids))
        for item in random.choice(pool, PER_USER, replace=False):
            rows.append((f"user-{user:02d}", item_ids[item], int(random.integers(10**15, 17 * 10**14))))
    users, items, times = zip(*rows, strict=True)
    table = {"user_id": users, "item_id": items, "time": pa.array(times, pa.timestamp("us"))}
    pq.write_table(pa.table(table), path)


class TowersRun:
    """A run over users, as a flow leaves it."""

    def __init__(self, out: Path, name: str, seed: int = 1, events: str = "events", **settings: Any) -> None:
        base = {
            "out": str(out),
            "seed": seed,
            "interactions": {"path": str(out / f"{events}.parquet"), "timestamp": "time"},
            "split": {"kind": "user"},
            "towers": {"train": {"epochs": 4}, "network": {"dimension": 8, "hidden": 16}},
            "evaluate": {"draws": 200},
        }
        self.config = parse_config(base | settings, model=UserRetrievalConfig)
        self.folder = out / "runs" / name
        self.bundle = Bundle.open(out / "published")
        ids = self.bundle.searcher.items.ids.column.combine_chunks()
        self.folder.mkdir(parents=True)
        (self.folder / CONFIG).write_text(dump_config(self.config))
        ingested = ingest_interactions(self.config.interactions, ids, self.folder)
        self.data: UserData = load_user_data(self.bundle, ingested.path, None)
        train_user_towers(self.data, self.config, self.folder)
        self.facts = write_user_towers(self.data, self.bundle, self.config, self.folder)

    def publish(self, version: int) -> Bundle:
        source = ModelSource(name="two-tower", version=str(version))
        summary = {"model": "two-tower", "version": version}
        (self.folder / "summary.json").write_text(json.dumps(summary))
        root = self.config.out / "published"
        return publish_towers(root, self.bundle, self.folder / TOWERS, model=source)

    def judge(self, verdict: tuple[Row, ...] = ()) -> Decision:
        bundle = Bundle.open(self.config.out / "published")
        return judge_towers(self.config, self.data, None, verdict, self.facts, bundle, self.folder)


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """Published items, and events with and without taste."""
    run = train(tmp_path_factory.mktemp("towers"), "items", epochs=2)
    run.publish()
    ids = run.catalog.table(["item_id"])["item_id"].to_pylist()
    write_events(run.published.parent / "events.parquet", ids)
    write_events(run.published.parent / "noise.parquet", ids, by_taste=False)
    return run


@pytest.fixture(scope="module")
def champion(items: SmallRun) -> tuple[TowersRun, Decision]:
    """Published towers, and what was decided before they were."""
    run = TowersRun(items.published.parent, "champion")
    decision = run.judge()
    run.publish(1)
    return run, decision


FIGURES = ("ndcg@10 against the champion", "recall@20 against the champion")


def outcomes(decision: Decision) -> dict[str, str]:
    return {row.gate: row.outcome for row in decision.rows}


def test_the_first_towers_are_held_to_baselines_and_indexes_only(
    champion: tuple[TowersRun, Decision],
) -> None:
    assert outcomes(champion[1]) == {
        **dict.fromkeys(FIGURES, "not applicable"),
        "index recall of items": "passed",
        "index recall of users": "passed",
    }
    assert champion[1].rows[0].reason == "no champion: no published bundle has towers"


@pytest.mark.slow
def test_the_same_settings_with_another_seed_are_promoted(champion: tuple[TowersRun, Decision]) -> None:
    run = TowersRun(champion[0].config.out, "retrained", seed=2)
    decision = run.judge()
    assert outcomes(decision) == dict.fromkeys(outcomes(champion[1]), "passed")
    assert "400 items that both have. Neither was trained on any of them." in decision.notes[0]


@pytest.mark.slow
def test_towers_that_learned_nothing_are_refused(champion: tuple[TowersRun, Decision]) -> None:
    out = champion[0].config.out
    noise = TowersRun(out, "noise", events="noise")
    asked = TowersRun(out, "asked")
    # Trained on noise, asked for taste.
    shutil.rmtree(asked.folder / "two_tower")
    shutil.copytree(noise.folder / "two_tower", asked.folder / "two_tower")
    decision = asked.judge()
    assert [row.gate for row in decision.failed] == list(FIGURES)
    assert decision.champion == Bundle.open(out / "published").manifest.version


def test_a_baseline_that_is_not_beaten_refuses_them_whatever_the_champion(
    champion: tuple[TowersRun, Decision],
) -> None:
    lost = Row(gate="ndcg@10 against the baselines", outcome="failed", reason="level")
    assert champion[0].judge((lost,)).failed == (lost,)


def test_what_the_champion_was_trained_on_is_told_from_its_folder(
    champion: tuple[TowersRun, Decision], tmp_path: Path
) -> None:
    run, _ = champion
    out = run.config.out
    found = find_champion_towers(out / "published", Bundle.open(out / "published"))
    assert isinstance(found, ChampionTowers)
    events = run.data.events
    trained = events_trained_on(found, out / "runs", events)
    assert trained is not None
    fit = split(events, run.config.split, run.config.seed).fit
    assert set(zip(events.users[trained], events.items[trained], strict=True)) == set(
        zip(fit.users, fit.items, strict=True)
    )
    assert events_trained_on(found, tmp_path, events) is None


def test_without_its_folder_a_random_test_cannot_be_shared_but_one_by_time_can(
    champion: tuple[TowersRun, Decision], tmp_path: Path
) -> None:
    run = champion[0]
    out = tmp_path / "moved"
    shutil.copytree(run.config.out / "published", out / "published", symlinks=True)
    shutil.copytree(run.folder, out / "runs" / "challenger")
    (out / "runs" / "challenger" / "summary.json").unlink()
    bundle = Bundle.open(out / "published")
    for kind, outcome in (("user", "not applicable"), ("time", "passed")):
        settings = run.config.model_dump() | {"out": out, "split": {"kind": kind}}
        config = UserRetrievalConfig.model_validate(settings)
        decision = judge_towers(config, run.data, None, (), run.facts, bundle, out / "runs" / "challenger")
        assert outcomes(decision)[FIGURES[0]] == outcome


def test_towers_of_an_older_bundle_are_the_champion_until_new_items_have_some(
    champion: tuple[TowersRun, Decision], items: SmallRun, tmp_path: Path
) -> None:
    out = champion[0].config.out
    copied = tmp_path / "out" / "published"
    shutil.copytree(out / "published", copied, symlinks=True)
    with_towers = Bundle.open(copied).manifest.version
    newer = replace(items, folder=copied.parent / "runs" / "items").publish(2)
    assert newer.manifest.towers is None
    found = find_champion_towers(copied, newer)
    assert isinstance(found, ChampionTowers)
    assert found.version == with_towers
    # After a rollback to the bundle of items alone nothing newer counts.
    first = Bundle.open(copied / min(path.name for path in copied.iterdir() if path.name[0].isdigit()))
    assert isinstance(find_champion_towers(copied, first), NoChampion)


def test_items_that_the_champion_does_not_have_are_no_candidates(
    champion: tuple[TowersRun, Decision],
) -> None:
    run = champion[0]
    out = run.config.out
    found = find_champion_towers(out / "published", Bundle.open(out / "published"))
    assert isinstance(found, ChampionTowers)
    ids = run.data.events.item_ids
    renamed = pa.concat_arrays([pa.array(["new-item"]), ids.slice(1)])
    assert found.known_items(renamed).tolist() == [-1, *range(1, len(ids))]
    seen = replace(run.data.events, item_ids=renamed)
    vectors = found.recommender(seen, None)
    assert not vectors.items[0].any()
    own = found.recommender(run.data.events, None)
    assert np.array_equal(vectors.items[1:], own.items[1:])
