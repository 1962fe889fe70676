"""The flow in this process, against one temporary Prefect server for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pyarrow.parquet as pq
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.testing.utilities import prefect_test_harness

from flows.item_embeddings import item_embeddings
from flows.summary import RunSummary
from streamrec.augmenters.store import load_augmenter
from streamrec.catalog import make
from streamrec.catalog.ingest import Ingested
from streamrec.catalog.table import Catalog
from streamrec.cli import app
from streamrec.config import RunConfig, parse_config
from streamrec.errors import BundleError, CatalogError, NotPromotedError, TrainingError, ValidationFailedError
from streamrec.promotion.decision import Decision
from streamrec.promotion.promote import find_challenger
from streamrec.pyfunc.registry import challenger, champion
from streamrec.retrieval.alignment import compare_vectors
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import read_vectors, to_matrix
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.retrieval.publish_samples import read_samples
from streamrec.tracking import prepare_store


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="module")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


def published(summary: object) -> RunSummary:
    """What a run that was not refused gives."""
    assert isinstance(summary, RunSummary)
    assert summary.bundle is not None
    return summary


def configure(out: Path, store_uri: str, **settings: Any) -> RunConfig:
    return parse_config(
        {
            "out": str(out),
            "generate": {"preset": "structured", "items": 200},
            "train": {"epochs": 2},
            "evaluate": {"queries": 20},
            "track": {"uri": store_uri, "model_name": out.name},
        }
        | settings
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, store_uri: str) -> tuple[RunConfig, RunSummary]:
    config = configure(tmp_path_factory.mktemp("finished"), store_uri)
    return config, item_embeddings(config)


def test_a_run_publishes_what_it_registered_and_promotes_it(finished: tuple[RunConfig, RunSummary]) -> None:
    config, summary = finished
    bundle = Bundle.open(config.out / "published")
    assert bundle.path == summary.bundle
    assert bundle.manifest.rows == summary.items == 200
    best = champion(prepare_store(config.track))
    assert best is not None
    assert (best.version, best.run_id) == (summary.version, bundle.manifest.model.run_id)
    assert best.tags["bundle"] == bundle.manifest.version
    assert challenger(prepare_store(config.track)) is None
    assert bundle.manifest.quality is not None
    assert bundle.manifest.quality.items() >= summary.metrics.items()


def test_a_run_leaves_its_parts_in_its_folder(finished: tuple[RunConfig, RunSummary]) -> None:
    folder = finished[1].folder
    for part in (
        "catalog.parquet",
        "validation/result.json",
        "codec/codec.json",
        "model/weights.safetensors",
        "evaluation/latents.json",
        "summary.json",
    ):
        assert (folder / part).is_file(), part


def test_the_same_configuration_publishes_the_same_embeddings(
    finished: tuple[RunConfig, RunSummary], tmp_path: Path, store_uri: str
) -> None:
    again = item_embeddings(configure(tmp_path / "again", store_uri))
    first, second = (pq.read_table(s.bundle / "embeddings.parquet") for s in (finished[1], again))
    assert first.equals(second)


def test_an_unchanged_run_does_nothing_again(
    finished: tuple[RunConfig, RunSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, first = finished
    bundles = sorted((config.out / "published").iterdir())
    for work in (
        "streamrec.catalog.make.make_catalog",
        "streamrec.catalog.validate.validate",
        "streamrec.fit.fit_item_encoder",
        "streamrec.evaluation.evaluate.evaluate_item_encoder",
        "streamrec.pyfunc.registry.register_item_encoder",
        "streamrec.promotion.publish_challenger.publish_encoder",
        "flows.item_embeddings.tell",
    ):
        monkeypatch.setattr(work, None)
    again = item_embeddings(config)
    assert (again.bundle, again.version, again.metrics) == (first.bundle, first.version, first.metrics)
    assert again.reused.keys() >= {
        "generate",
        "validate",
        "train",
        "evaluate",
        "register",
        "publish",
        "announce",
    }
    assert again.reused["train"] == f"run {first.run}"
    assert sorted((config.out / "published").iterdir()) == bundles
    assert f"train, align, evaluate, announce from run {first.run}" in again.to_text()
    assert f"train (run {first.run})" in (again.folder / "report.html").read_text()
    for part in ("catalog.parquet", "validation/result.json", "model/weights.safetensors", "profile.json"):
        assert (again.folder / part).read_bytes() == (first.folder / part).read_bytes()
    store = prepare_store(config.track)
    runs = store.client.search_runs([store.experiment_id], f"tags.mlflow.runName = '{again.run}'")
    assert runs[0].data.tags["reused.publish"] == f"bundle {first.bundle.name}"


def test_a_stored_output_that_was_altered_is_made_again(finished: tuple[RunConfig, RunSummary]) -> None:
    config, first = finished
    (stored,) = (config.out / "stages").glob("evaluate-*")
    picture = stored / "files" / "evaluation" / "map.svg"
    content = picture.read_bytes()
    picture.unlink()
    picture.write_bytes(content[:-1])
    again = item_embeddings(config)
    assert "evaluate" not in again.reused
    assert again.reused.keys() >= {"train", "register", "publish"}
    assert (again.folder / "evaluation" / "map.svg").read_bytes() == content
    assert again.metrics == first.metrics


@pytest.mark.slow
def test_a_version_that_was_deleted_is_registered_and_published_again(tmp_path: Path, store_uri: str) -> None:
    config = configure(tmp_path / "deleted", store_uri)
    first = item_embeddings(config)
    prepare_store(config.track).client.delete_model_version(first.model, str(first.version))
    again = item_embeddings(config)
    assert again.version == first.version + 1
    assert again.bundle != first.bundle
    assert again.reused.keys() >= {"train", "evaluate"}
    assert not {"register", "publish", "promote"} & again.reused.keys()


@pytest.mark.slow
def test_a_retrained_encoder_is_rotated_onto_the_published_space(tmp_path: Path, store_uri: str) -> None:
    """And everything that is made of it agrees: bundle, registered model and the run's folder."""
    out, settings = tmp_path / "aligned", {"generate": {"preset": "structured", "items": 400}}
    first = item_embeddings(configure(out, store_uri, **settings))
    config = configure(out, store_uri, seed=7, **settings)
    second = item_embeddings(config)
    before, after = (Bundle.open(run.bundle).manifest for run in (first, second))
    assert (before.alignment, before.space) == (None, before.version)
    facts = after.alignment
    assert facts is not None
    assert (facts.reference, facts.common_items) == (before.version, 400)
    assert after.space == (before.version if facts.comparable else after.version)
    old, new = (read_vectors(run.bundle / "embeddings.parquet") for run in (first, second))
    assert compare_vectors(new, old)["mean_cosine"] == pytest.approx(facts.mean_cosine, abs=0.05)
    rows = Catalog(second.folder / "catalog.parquet", after.features).table()[:50]
    assert (second.folder / "model" / "rotation.safetensors").is_file()
    np.testing.assert_array_equal(ItemEncoder.load(second.folder).encode(rows), new[:50])
    store = prepare_store(config.track)
    best = champion(store)
    assert best is not None
    logged = store.client.get_model_version(best.name, str(best.version)).source
    model = Path(urlparse(str(logged)).path) / "artifacts" / "model"
    assert (model / "rotation.safetensors").read_bytes() == (
        second.bundle / "model" / "rotation.safetensors"
    ).read_bytes()
    again = item_embeddings(config)
    assert (again.bundle, again.version) == (second.bundle, second.version)
    assert "align" in again.reused


def test_a_critical_failure_stops_before_training_and_publishes_nothing(
    tmp_path: Path, store_uri: str
) -> None:
    config = configure(tmp_path / "refused", store_uri, validation={"min_rows": 201})
    with pytest.raises(ValidationFailedError, match="row_count"):
        item_embeddings(config)
    (run,) = (config.out / "runs").iterdir()
    assert (run / "validation" / "summary.html").is_file()
    assert not (run / "codec").exists()
    assert not (config.out / "published").exists()
    assert champion(prepare_store(config.track)) is None


def test_a_later_run_is_compared_with_the_published_one(tmp_path: Path, store_uri: str) -> None:
    out = tmp_path / "compared"
    first = item_embeddings(configure(out, store_uri))
    grown = configure(out, store_uri, generate={"preset": "structured", "items": 400})
    with pytest.raises(ValidationFailedError, match=r"row_count_change.*\+100"):
        item_embeddings(grown)
    assert Bundle.open(out / "published").path == first.bundle
    best = champion(prepare_store(grown.track))
    assert best is not None
    assert best.version == first.version


def test_a_failed_publication_leaves_a_challenger_and_no_champion(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(*args: object, **settings: object) -> None:
        calls.append(args)
        raise BundleError("an embedding is not finite")

    monkeypatch.setattr("streamrec.promotion.publish_challenger.publish", refuse)
    config = configure(tmp_path / "unpublished", store_uri)
    with pytest.raises(BundleError, match="not finite"):
        item_embeddings(config)
    store = prepare_store(config.track)
    assert champion(store) is None
    assert challenger(store) is not None
    assert len(calls) == 1, "what computes fails again: no retry"

    monkeypatch.undo()
    summary = item_embeddings(config)
    assert summary.version == 1, "the version that was registered is published"
    assert summary.reused.keys() >= {"train", "register"}
    best = champion(store)
    assert best is not None
    assert (best.version, challenger(store)) == (1, None)


def test_a_disk_that_fails_for_a_moment_is_tried_again(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = make.make_catalog, []

    def fail_once(*args: Any) -> Ingested:
        calls.append(args)
        if len(calls) == 1:
            raise CatalogError("catalog.parquet: cannot write") from OSError(5, "Input/output error")
        return real(*args)

    monkeypatch.setattr("streamrec.catalog.make.make_catalog", fail_once)
    summary = item_embeddings(configure(tmp_path / "patient", store_uri))
    assert (len(calls), summary.items) == (2, 200)


AUGMENTERS = {
    "families": ["vae", "flow"],
    "flow": {"width": 16, "blocks": 1, "evaluations": 4},
    "fit": {"steps": 10},
    "refine": {"cells": False, "ratio_rounds": 0},
    "rows": 100,
}


@pytest.mark.slow
def test_augmenters_are_compared_and_the_best_becomes_champion(tmp_path: Path, store_uri: str) -> None:
    config = configure(tmp_path / "made", store_uri, augmenters=AUGMENTERS)
    summary = item_embeddings(config)
    assert summary.augmenters is not None
    folder = summary.folder / "augmenters"
    assert {path.name for path in folder.iterdir()} == {
        "vae",
        "flow",
        "comparison.html",
        "comparison.parquet",
    }
    best = load_augmenter(folder / str(summary.augmenters.family))
    assert best.sample(3).num_rows == 3
    assert list(summary.seconds)[-5:] == ["augment", "enrol", "samples", "announce", "report"]
    bundle = Bundle.open(config.out / "published")
    assert bundle.path == summary.bundle
    samples = bundle.manifest.samples
    assert samples is not None
    assert (samples.rows, samples.family) == (2_000, best.family)
    encoded = ItemEncoder.load(bundle.path).encode(best.sample(2_000, seed=samples.seed))
    np.testing.assert_array_equal(to_matrix(read_samples(bundle)["embedding"]), encoded)
    named = champion(prepare_store(config.track))
    assert named is not None
    assert named.tags["bundle"] == bundle.manifest.version

    store = prepare_store(config.track)
    version = champion(store.of_model("streamrec-augmenter"))
    assert version is not None
    assert (version.version, version.tags["family"]) == (summary.augmenters.version, best.family)
    assert version.tags["reason"] == summary.augmenters.reason
    assert (
        version.tags["codec_fingerprint"] == Bundle.open(config.out / "published").manifest.codec_fingerprint
    )
    described = store.client.get_model_version(version.name, str(version.version)).description
    assert "|Shape error, %|" in described

    assert version.run_id is not None
    recorded = store.client.get_run(version.run_id).data.metrics
    assert {"augmenters/vae/shape_error", "augmenters/flow/nll", "seconds/augment"} <= recorded.keys()
    kept = {file.path for file in store.client.list_artifacts(version.run_id, "augmenters")}
    assert kept == {"augmenters/comparison.html", "augmenters/comparison.parquet"}
    page = (summary.folder / "report.html").read_text()
    assert 'href="augmenters/comparison.html"' in page
    assert "Network evaluations per row" in page
    again = published(item_embeddings(config))
    assert again.bundle == summary.bundle
    assert "samples" in again.reused


def test_augmenters_that_fail_are_told_and_embeddings_published_all_the_same(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **settings: object) -> None:
        raise TrainingError("loss <nan> at epoch 3")

    monkeypatch.setattr("streamrec.augmenters.compare.fit_augmenter", fail)
    config = configure(tmp_path / "unmade", store_uri, augmenters=AUGMENTERS)
    summary = item_embeddings(config)
    bundle = Bundle.open(config.out / "published")
    best = champion(prepare_store(config.track))
    assert best is not None
    assert (bundle.path, best.version) == (summary.bundle, summary.version)
    assert summary.augmenters is not None
    assert summary.augmenters.error == "loss <nan> at epoch 3"
    assert "warning: augmenters: loss <nan> at epoch 3" in summary.to_text()
    assert "loss &lt;nan&gt; at epoch 3" in (summary.folder / "report.html").read_text()
    run = prepare_store(config.track).client.get_run(str(best.run_id))
    assert run.info.status == "FINISHED"
    assert run.data.tags["augmenters.error"] == "loss <nan> at epoch 3"


@pytest.mark.parametrize(
    "config",
    [
        {"generate": {"itens": 3}},
        {"generate": {}, "trian": {}},
        {"generate": {"items": "many"}},
        {},
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_written(
    config: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ParameterTypeError):
        item_embeddings(config | {"out": str(tmp_path / "out")})
    assert not (tmp_path / "out").exists()


GATED: dict[str, Any] = {
    "generate": {"preset": "structured", "items": 400},
    "train": {"epochs": 20, "validation_share": 0.3},
}
HARDLY = GATED | {"seed": 2, "train": {"epochs": 1, "validation_share": 0.3}}


def test_an_encoder_that_was_hardly_trained_is_refused_and_the_run_alerts(
    tmp_path: Path, store_uri: str
) -> None:
    out = tmp_path / "gated"
    first = published(item_embeddings(configure(out, store_uri, **GATED)))
    assert first.promotion == ("Promoted: 1 of 1 gates hold; there was no champion to compare with.")
    config = configure(out, store_uri, **HARDLY)
    state = item_embeddings(config, return_state=True)
    assert (state.name, state.is_failed()) == ("NotPromoted", True)
    with pytest.raises(
        NotPromotedError, match=r"variance kept .* streamrec promote .* --force --why"
    ) as told:
        state.result()
    assert "Not promoted: 1 of 7 gates do not hold: variance kept." in told.value.decision

    assert Bundle.open(out / "published").path == first.bundle
    store = prepare_store(config.track)
    best, newest = champion(store), challenger(store)
    assert best is not None
    assert newest is not None
    assert (best.version, newest.version) == (1, 2)
    assert newest.tags["promotion"] == "refused"
    assert newest.tags["gate.variance kept"].startswith("failed: ")
    run = store.client.get_run(str(newest.run_id))
    assert (run.info.status, run.data.tags["promotion.failed"]) == ("FINISHED", "variance kept")

    refused = find_challenger(out)
    page = (refused.folder / "report.html").read_text()
    assert "Whether it replaces the champion" in page
    assert "The published bundle" not in page
    summary = RunSummary.model_validate_json((refused.folder / "summary.json").read_text())
    assert (summary.bundle, summary.published) == (None, False)
    assert Decision.read(refused.folder).champion == Bundle.open(out / "published").manifest.version


@pytest.mark.slow
def test_a_retraining_is_promoted_a_refused_one_by_force_and_both_are_rolled_back(
    tmp_path: Path, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rolled"
    first = published(item_embeddings(configure(out, store_uri, **GATED)))
    second = published(item_embeddings(configure(out, store_uri, **GATED | {"seed": 2})))
    assert second.promotion == "Promoted: 7 of 7 gates hold against the champion."
    config = configure(out, store_uri, **HARDLY | {"seed": 3})
    with pytest.raises(NotPromotedError):
        item_embeddings(config)
    store = prepare_store(config.track)

    def state() -> tuple[str | None, int]:
        best = champion(store)
        assert best is not None
        return Bundle.open(out / "published").manifest.model.version, best.version

    where = ["--out", str(out)]
    app(["promote", *where, "--force", "--why", "a drill"], standalone_mode=False)
    assert "Promoted by force, 1 of 7 gates did not hold (variance kept): a drill" in capsys.readouterr().out
    assert state() == ("3", 3)
    app(["rollback", *where, "--why", "the drill is over"], standalone_mode=False)
    assert state() == ("2", 2)
    app(["rollback", Path(str(first.bundle)).name, *where], standalone_mode=False)
    assert state() == ("1", 1)
    left = store.client.get_model_version(config.track.model_name, "3")
    assert left.tags["taken_back"].endswith("the drill is over")
    # The same training again is the version that was taken back: it is not published by itself.
    app(["rollback", Path(str(second.bundle)).name, *where], standalone_mode=False)
    with pytest.raises(NotPromotedError, match="not rolled back"):
        item_embeddings(config)
