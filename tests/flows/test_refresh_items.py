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

from flows import refresh_items as module
from flows.events import ITEMS_DRIFTED, ITEMS_REFRESHED
from flows.refresh_items import refresh_items
from flows.refresh_summary import RefreshSummary
from streamrec.catalog.ingest import ingest
from streamrec.catalog.profile import Profile
from streamrec.config import RefreshConfig, RunConfig, parse_config
from streamrec.errors import BundleError, TrackingError, ValidationFailedError
from streamrec.fit import fit_item_encoder
from streamrec.pyfunc.registry import champion, promote, register_item_encoder
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import read_vectors
from streamrec.retrieval.publish import publish
from streamrec.tracking import prepare_store

pytestmark = pytest.mark.slow

ITEMS = 300
FEATURES = {"item_id": "id", "categorical": ["kind"], "numeric": ["price", "length"], "display": ["title"]}


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that were told of."""
    events: list[str] = []
    monkeypatch.setattr(module, "tell", lambda event, bundle: events.append(event))
    return events


def make_items(rows: int = ITEMS) -> pa.Table:
    random, most = np.random.default_rng(0), 2 * ITEMS
    table = pa.table(
        {
            "id": [f"item-{i:03d}" for i in range(most)],
            "kind": [("film", "series", "short")[i % 3] for i in range(most)],
            "price": random.lognormal(size=most),
            "length": random.normal(90, 20, size=most),
            "title": [f"Item {i}" for i in range(most)],
        }
    )
    return table[:rows]


def with_prices(table: pa.Table, rows: slice, factor: float) -> pa.Table:
    prices = table["price"].to_numpy().copy()
    prices[rows] *= factor
    return table.set_column(2, "price", pa.array(prices))


def settings(out: Path, store_uri: str) -> dict[str, Any]:
    return {
        "out": str(out),
        "ingest": {"path": str(out / "items.parquet")},
        "features": FEATURES,
        "train": {"epochs": 2},
        "track": {"uri": store_uri, "model_name": out.name},
    }


def configure(out: Path, store_uri: str, **changes: Any) -> RefreshConfig:
    """From the file of a whole run."""
    return parse_config(settings(out, store_uri) | changes, model=RefreshConfig)


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, str]:
    """A folder with a registered and published encoder, as a run over items leaves it; its store."""
    out = tmp_path / "data"
    out.mkdir()
    store_uri = f"sqlite:///{tmp_path}/mlflow.db"
    pq.write_table(make_items(), out / "items.parquet")
    config = parse_config(settings(out, store_uri), model=RunConfig)
    assert config.ingest is not None
    assert config.features is not None
    catalog = ingest(config.ingest, config.features, out / "run").catalog
    encoder, _ = fit_item_encoder(catalog, config, out / "run")
    store = prepare_store(config.track)
    with store.start_run("trained") as run:
        version = register_item_encoder(run, out / "run", catalog.table()[:5])
    Profile.of(catalog).save(out / "profile.json")
    bundle = publish(
        out / "published",
        catalog,
        encoder,
        config.publish,
        config.seed,
        model=version.source,
        profile=out / "profile.json",
    )
    promote(store, version.version, {"bundle": bundle.manifest.version})
    return out, store_uri


def test_a_changed_table_is_published_by_the_same_encoder_in_the_same_space(
    published: tuple[Path, str], told: list[str]
) -> None:
    out, store_uri = published
    before = Bundle.open(out / "published")
    table = with_prices(make_items(310), slice(7, 9), 1.1)
    pq.write_table(pa.concat_tables([table[:100], table[103:]]), out / "items.parquet")
    config = configure(out, store_uri)
    summary = refresh_items(config)
    bundle = Bundle.open(out / "published")
    assert summary.bundle == bundle.path != before.path
    assert (summary.new, summary.changed, summary.kept, summary.removed) == (10, 2, 295, 3)
    assert summary.headline.startswith("Published 307 items: 10 new, 2 changed, 295 kept")
    assert (bundle.manifest.space, bundle.manifest.model) == (before.manifest.version, before.manifest.model)
    assert told == [ITEMS_REFRESHED]
    old, new = (read_vectors(b.path / "embeddings.parquet") for b in (before, bundle))
    np.testing.assert_array_equal(old[9:100], new[9:100])
    assert (old[7:9] != new[7:9]).any(axis=1).all()

    store = prepare_store(config.track)
    best = champion(store)
    assert best is not None
    assert (best.version, best.tags["bundle"]) == (summary.version, bundle.manifest.version)
    (run,) = store.client.search_runs([store.experiment_id], "tags.flow = 'refresh-items'")
    assert run.data.metrics["refresh/new"] == 10
    assert run.data.tags["refreshed"] == bundle.manifest.version
    assert RefreshSummary.model_validate_json((summary.folder / "summary.json").read_text()).kept == 295
    assert not (summary.folder / "catalog.parquet").exists()
    assert "bundle before" in summary.to_text()

    told.clear()
    again = refresh_items(config)
    assert (again.bundle, again.items, told) == (None, 307, [])
    assert again.headline == f"Nothing changed: bundle {bundle.manifest.version} stays current."
    assert Bundle.open(out / "published").path == bundle.path


def test_items_that_drifted_are_told_of_and_published_all_the_same(
    published: tuple[Path, str], told: list[str]
) -> None:
    out, store_uri = published
    pq.write_table(with_prices(make_items(), slice(0, 200), 40), out / "items.parquet")
    summary = refresh_items(configure(out, store_uri))
    assert told == [ITEMS_DRIFTED, ITEMS_REFRESHED]
    assert any("column 'price': drift" in line for line in summary.drifted)
    assert "warning: items drifted" in summary.to_text()
    # What was trained on stays the reference: drift must not be forgotten step by step.
    again = refresh_items(configure(out, store_uri))
    assert (again.bundle, again.drifted) == (None, summary.drifted)


def test_what_fails_a_critical_check_is_not_published(published: tuple[Path, str], told: list[str]) -> None:
    out, store_uri = published
    before = Bundle.open(out / "published").path
    pq.write_table(make_items()[:100], out / "items.parquet")
    with pytest.raises(ValidationFailedError, match="row_count_change"):
        refresh_items(configure(out, store_uri))
    renamed = make_items().set_column(0, "id", pa.array([f"other-{i:03d}" for i in range(ITEMS)]))
    pq.write_table(renamed, out / "items.parquet")
    with pytest.raises(BundleError, match=r"300 of the 300 items of bundle .* are gone"):
        refresh_items(configure(out, store_uri))
    other = configure(out, store_uri, features=FEATURES | {"display": []})
    with pytest.raises(BundleError, match="schema fingerprint"):
        refresh_items(other)
    assert Bundle.open(out / "published").path == before
    assert ITEMS_REFRESHED not in told


def test_a_bundle_of_another_encoder_than_the_champion_is_not_refreshed(published: tuple[Path, str]) -> None:
    out, store_uri = published
    config = configure(out, store_uri)
    store = prepare_store(config.track)
    with store.start_run("another") as run:
        rows = pq.read_table(out / "run" / "catalog.parquet")[:5]
        promote(store, register_item_encoder(run, out / "run", rows).version)
    with pytest.raises(TrackingError, match=r"was made by data version 1, .* has champion data version 2"):
        refresh_items(config)
