"""The flow in this process, against one temporary Prefect server for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.testing.utilities import prefect_test_harness

from flows.promotion import NOT_PROMOTED
from flows.retrieval_summary import RetrievalSummary
from flows.user_retrieval import user_retrieval
from streamrec.catalog.make import make_catalog
from streamrec.config import RunConfig, parse_config
from streamrec.errors import BundleError, NotPromotedError, ValidationFailedError
from streamrec.fit import fit_item_encoder
from streamrec.pyfunc.registry import challenger, champion
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.publish import publish
from streamrec.retrieval.tower_encoder import BundleEncoder
from streamrec.tracking import prepare_store
from streamrec.user_config import UserRetrievalConfig

USERS, PER_USER = 80, 30


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


def write_events(path: Path, item_ids: list[str], by_taste: bool) -> None:
    """Users who take items of their own half only, in an order of their own; or any item at all."""
    random = np.random.default_rng(5)
    halves = np.array_split(np.arange(len(item_ids)), 2)
    rows = []
    for user in range(USERS):
        pool = halves[user % 2] if by_taste else np.arange(len(item_ids))
        for item in random.choice(pool, PER_USER, replace=False):
            rows.append((f"user-{user:02d}", item_ids[item], int(random.integers(10**15, 17 * 10**14))))
    users, items, times = zip(*rows, strict=True)
    when = pa.array(times, pa.timestamp("us"))
    pq.write_table(pa.table({"user_id": users, "item_id": items, "time": when}), path)


def publish_items(out: Path) -> Bundle:
    """A bundle as a run over items leaves it."""
    config = RunConfig.model_validate(
        {"out": out, "generate": {"preset": "structured", "items": 120}, "train": {"epochs": 2}}
    )
    catalog = make_catalog(config, out / "items").catalog
    encoder, _ = fit_item_encoder(catalog, config, out / "items")
    return publish(out / "published", catalog, encoder, config.publish, config.seed)


def configure(out: Path, store_uri: str, **settings: Any) -> UserRetrievalConfig:
    return parse_config(
        {
            "out": str(out),
            "interactions": {"path": str(out / "events.parquet"), "timestamp": "time"},
            "towers": {"train": {"epochs": 4}, "network": {"dimension": 8, "hidden": 16}},
            "baselines": ["popular", "recent-popular"],
            "evaluate": {"draws": 200},
            "track": {"uri": store_uri, "model_name": out.name},
        }
        | settings,
        model=UserRetrievalConfig,
    )


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a bundle of items and events that have a taste, and a tracking store."""
    store = f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"
    out = tmp_path_factory.mktemp("retrieval")
    bundle = publish_items(out).path
    ids = pq.read_table(bundle / "embeddings.parquet", columns=["item_id"])[0].to_pylist()
    write_events(out / "events.parquet", ids, by_taste=True)
    write_events(out / "noise.parquet", ids, by_taste=False)
    return out, store


@pytest.fixture(scope="module")
def finished(items: tuple[Path, str]) -> tuple[UserRetrievalConfig, RetrievalSummary, Bundle]:
    """A run whose towers are published, its settings, and the bundle of items that it found."""
    out, store = items
    before = Bundle.open(out / "published")
    config = configure(out, store)
    summary = user_retrieval(config)
    assert isinstance(summary, RetrievalSummary)
    return config, summary, before


def test_towers_that_beat_their_baselines_are_published_and_promoted(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle],
) -> None:
    config, summary, before = finished
    bundle = Bundle.open(config.out / "published")
    assert summary.bundle == bundle.path
    assert bundle.path != before.path
    assert summary.trained_on == before.manifest.version
    assert bundle.manifest.towers is not None
    assert bundle.manifest.towers.facts.encoder_fingerprint == before.manifest.encoder_fingerprint
    assert bundle.manifest.towers.quality == pytest.approx(summary.metrics)
    assert summary.verdict[0] == "two-tower beats its baselines on ndcg@10 and recall@20"
    best = champion(prepare_store(config.track))
    assert best is not None
    assert (best.version, best.tags["bundle"]) == (summary.version, bundle.manifest.version)
    assert best.tags["beats_baselines"] == "true"
    assert bundle.manifest.towers.model.run_id == best.run_id
    assert challenger(prepare_store(config.track)) is None


def test_published_towers_recommend_by_taste(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle],
) -> None:
    bundle = Bundle.open(finished[0].out / "published")
    half = len(bundle.searcher.items.table) // 2
    for user in range(10):
        best = bundle.recommender.for_user(f"user-{user:02d}", 10, exclude_seen=True).positions
        assert ((best >= half) == bool(user % 2)).mean() >= 0.9
    random = np.random.default_rng(0)
    histories = [half + random.choice(half, 10, replace=False) for _ in range(100)]
    vectors = BundleEncoder(bundle).histories(histories)
    best = np.stack([found.positions for found in bundle.recommender.for_vectors(vectors, 10)])
    assert (best >= half).mean() >= 0.9


def test_every_event_counts_for_the_published_vectors(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle],
) -> None:
    recommendations = Bundle.open(finished[0].out / "published").recommender
    assert recommendations.towers.histories.lengths.tolist() == [PER_USER] * USERS


def test_an_unchanged_run_does_nothing_again(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, first, _ = finished
    for work in (
        "streamrec.interactions.ingest.ingest_interactions",
        "streamrec.interactions.validate.validate_interactions",
        "streamrec.fit_user_retrieval.train_user_towers",
        "streamrec.fit_user_retrieval.judge_user_towers",
        "streamrec.fit_user_retrieval.write_user_towers",
        "streamrec.pyfunc.registry.register_two_tower",
        "flows.user_retrieval.tell",
    ):
        monkeypatch.setattr(work, None)
    again = user_retrieval(config)
    assert isinstance(again, RetrievalSummary)
    assert (again.bundle, again.version, again.metrics) == (first.bundle, first.version, first.metrics)
    assert again.verdict == first.verdict
    done = {"ingest", "validate", "train", "evaluate", "index", "register", "publish"}
    assert again.reused.keys() >= done
    assert (again.folder / "rankings" / "rankings.html").is_file()


def test_a_run_leaves_its_parts_and_its_reasons(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle],
) -> None:
    config, summary, before = finished
    for part in (
        "interactions.parquet",
        "validation/result.json",
        "two_tower/history.json",
        "towers/items.faiss",
        "rankings/rankings.html",
        "rankings/rankings.parquet",
        "summary.json",
    ):
        assert (summary.folder / part).is_file(), part
    store = prepare_store(config.track)
    version = store.client.get_model_version(config.track.model_name, str(summary.version))
    assert "|recent-popular|" in version.description
    run = store.client.get_run(version.run_id)
    assert run.data.tags["beats_baselines"] == "true"
    assert run.data.tags["bundle"] == before.manifest.version
    assert run.data.metrics.keys() >= {
        "ranking/overall/two-tower/ndcg_10",
        "ranking/overall/popular/recall_20",
        "chosen/validation",
        "seconds/train",
    }
    assert {found.dataset.name for found in run.inputs.dataset_inputs} == {"events"}
    assert RetrievalSummary.model_validate_json((summary.folder / "summary.json").read_text()).published


def test_towers_that_do_not_are_registered_only_and_the_run_says_so(
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle], items: tuple[Path, str]
) -> None:
    out, store_uri = items
    before = Bundle.open(out / "published").path
    config = configure(out, store_uri, interactions={"path": str(out / "noise.parquet"), "timestamp": "time"})
    runs = set((out / "runs").iterdir())
    state = user_retrieval(config, return_state=True)
    assert (state.name, state.is_failed()) == (NOT_PROMOTED, True)
    assert "ndcg@10 against the baselines" in str(state.message)
    with pytest.raises(NotPromotedError, match=r"streamrec promote .* --force --why"):
        state.result()
    (folder,) = set((out / "runs").iterdir()) - runs
    summary = RetrievalSummary.model_validate_json((folder / "summary.json").read_text())
    assert isinstance(summary, RetrievalSummary)
    assert not summary.published
    assert "warning: Not published" in summary.to_text()
    assert "- Not published" in summary.to_markdown()
    assert Bundle.open(out / "published").path == before
    store = prepare_store(config.track)
    newest, best = challenger(store), champion(store)
    assert newest is not None
    assert best is not None
    assert (newest.version, best.version) == (summary.version, finished[1].version)
    assert newest.tags["beats_baselines"] == "false"
    assert store.client.get_run(str(newest.run_id)).data.tags["published"].startswith("no: ")


def test_events_that_fail_a_critical_check_stop_before_training(items: tuple[Path, str]) -> None:
    out, store_uri = items
    before = {path.name for path in (out / "runs").iterdir()}
    with pytest.raises(ValidationFailedError, match="row_count"):
        user_retrieval(configure(out, store_uri, checks={"min_rows": USERS * PER_USER + 1}))
    (run,) = {path.name for path in (out / "runs").iterdir()} - before
    assert (out / "runs" / run / "validation" / "result.json").is_file()
    assert not (out / "runs" / run / "two_tower").exists()


def test_a_bundle_that_is_no_longer_current_is_not_published_over(
    items: tuple[Path, str],
    finished: tuple[UserRetrievalConfig, RetrievalSummary, Bundle],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, store_uri = items
    old = finished[2]
    monkeypatch.setattr("streamrec.retrieval.bundle.Bundle.open", lambda path: old)
    before = (out / "published" / "current").resolve()
    with pytest.raises(BundleError, match="became current meanwhile"):
        user_retrieval(configure(out, store_uri))
    assert (out / "published" / "current").resolve() == before


def test_a_folder_without_a_bundle_is_named(tmp_path: Path, items: tuple[Path, str]) -> None:
    with pytest.raises(BundleError, match="publish a bundle first"):
        user_retrieval(configure(tmp_path / "nothing", items[1]))
