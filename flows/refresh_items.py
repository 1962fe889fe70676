"""`refresh-items`: the published items brought up to date by their own encoder, a task per step.

Only new and changed items are encoded. Where items have drifted from what the encoder was trained on, an
event says so, which starts a whole run. Tasks import their tools when they run, as in `item-embeddings`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

from flows.events import ITEMS_DRIFTED, ITEMS_REFRESHED, tell
from flows.refresh_summary import RefreshSummary
from flows.stages import Progress, alone
from flows.steps import IO_STEP, STEP
from streamrec.config import RefreshConfig

if TYPE_CHECKING:
    from streamrec.catalog.checks import ValidationResult
    from streamrec.catalog.ingest import Ingested
    from streamrec.catalog.table import Catalog
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.changes import Changes
    from streamrec.tracking import TrackedRun, TrackingStore

SUMMARY = "summary.json"


@flow(name="refresh-items", persist_result=False)
def refresh_items(config: RefreshConfig) -> RefreshSummary:
    """Read, validate, compare and, where anything changed, publish the items with the published encoder.

    Raises:
        StreamRecError: of the first step that failed; what was published before stays as it was.
    """
    begun = time.perf_counter()
    with alone("refresh-items", config) as (folder, stages):
        with stages("track"):
            store = open_store(config)
        with store.start_run(folder.name, {"flow": "refresh-items"}) as run:
            with stages("open"):
                bundle = open_bundle(config, store)
            with stages("ingest") as progress:
                ingested = ingest_items(config, bundle, folder, progress)
            catalog = ingested.catalog
            with stages("validate") as progress:
                record_inputs(config, run, bundle, ingested)
                validation = validate_items(config, run, bundle, catalog, folder, progress)
                if validation.drifted:
                    tell(ITEMS_DRIFTED, bundle)
                validation.raise_for_critical()
            with stages("compare"):
                changes = compare_items(config, bundle, catalog)
            refreshed: Bundle | None = None
            if not changes.nothing:
                with stages("publish") as progress:
                    refreshed = publish_refreshed(config, bundle, catalog, changes, progress)
            with stages("promote"):
                champion = tag_champion(config, store)
            if refreshed is not None:
                tell(ITEMS_REFRESHED, refreshed)
            manifest = (refreshed or bundle).manifest
            summary = RefreshSummary(
                run=folder.name,
                folder=folder,
                source=bundle.manifest.version,
                bundle=None if refreshed is None else refreshed.path,
                items=manifest.rows,
                new=changes.new,
                changed=changes.changed,
                kept=int(changes.kept.sum()),
                removed=changes.removed,
                refused=ingested.rows_refused,
                model=champion.name,
                version=champion.version,
                tracking_uri=store.uri,
                recall=manifest.recall.value,
                drifted=tuple(map(str, validation.drifted)),
                warnings=tuple(map(str, validation.warnings)),
                seconds=stages.seconds,
                total_seconds=time.perf_counter() - begun,
            )
            with stages("report"):
                report(run, catalog, summary)
    return summary.model_copy(
        update={"seconds": stages.seconds, "total_seconds": time.perf_counter() - begun}
    )


@task(**IO_STEP)
def open_store(config: RefreshConfig) -> TrackingStore:
    """Prepare the MLflow store."""
    from streamrec.tracking import prepare_store

    return prepare_store(config.track)


@task(**IO_STEP)
def open_bundle(config: RefreshConfig, store: TrackingStore) -> Bundle:
    """Open and verify the current bundle, whose encoder must be the champion."""
    from streamrec.pyfunc.published_encoder import check_champion
    from streamrec.retrieval.bundle import Bundle

    bundle = Bundle.open(config.out.resolve() / "published")
    check_champion(store, bundle.manifest)
    return bundle


@task(**IO_STEP)
def ingest_items(config: RefreshConfig, bundle: Bundle, folder: Path, progress: Progress) -> Ingested:
    """Read the item table into `folder`."""
    from streamrec.catalog.ingest import ingest

    return ingest(config.ingest, config.features or bundle.manifest.features, folder, progress)


@task(**IO_STEP)
def record_inputs(config: RefreshConfig, run: TrackedRun, bundle: Bundle, ingested: Ingested) -> None:
    """Record the settings, the bundle and the catalogue in MLflow."""
    manifest = bundle.manifest
    run.log_config(config)
    run.set_tags(
        {"bundle": manifest.version, "encoder": f"{manifest.model.name} version {manifest.model.version}"}
    )
    run.log_catalog(ingested.catalog, config.ingest.path, {"rows_refused": ingested.rows_refused})


@task(**STEP)
def validate_items(
    config: RefreshConfig,
    run: TrackedRun,
    bundle: Bundle,
    catalog: Catalog,
    folder: Path,
    progress: Progress,
) -> ValidationResult:
    """Check the catalogue, against what the encoder was trained on."""
    from streamrec.catalog.validate import validate
    from streamrec.retrieval.reference import published_profile

    place = folder / "validation"
    reference = published_profile(bundle.path.parent, catalog.schema)
    result = validate(catalog, config.validation, place, reference, bundle.manifest.seed, progress)
    run.log_files(place, "validation")
    return result


@task(**STEP)
def compare_items(config: RefreshConfig, bundle: Bundle, catalog: Catalog) -> Changes:
    """Find what is new, changed and gone."""
    from streamrec.retrieval.refresh import compare

    return compare(bundle, catalog, config.validation.max_row_count_change)


@task(**IO_STEP)
def publish_refreshed(
    config: RefreshConfig, bundle: Bundle, catalog: Catalog, changes: Changes, progress: Progress
) -> Bundle:
    """Encode what is new or changed and make the bundle current; refused if another became so meanwhile."""
    from streamrec.retrieval.refresh import refresh

    return refresh(bundle.path.parent, bundle, catalog, changes, config.publish, progress=progress)


@task(**IO_STEP)
def tag_champion(config: RefreshConfig, store: TrackingStore) -> RegisteredModel:
    """Name the current bundle at the champion, also where a refresh that was killed did not get there."""
    from streamrec.errors import TrackingError
    from streamrec.promotion.aliases import follow_bundle

    champion = follow_bundle(config.out.resolve() / "published", store, "items")
    if champion is None:
        raise TrackingError(f"{config.out}: the current bundle names no registered encoder; run in full")
    return champion


@task(**IO_STEP)
def report(run: TrackedRun, catalog: Catalog, summary: RefreshSummary) -> None:
    """Write the run's summary; show it in MLflow and Prefect."""
    path = summary.folder / SUMMARY
    path.write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    run.log_files(path)
    run.log_metrics(summary.metrics())
    run.log_metrics({f"seconds/{stage}": seconds for stage, seconds in summary.seconds.items()})
    told = "nothing changed" if summary.bundle is None else summary.bundle.name
    run.set_tags({"refreshed": told, "drifted": str(bool(summary.drifted)).lower()})
    create_markdown_artifact(summary.to_markdown(), key="refresh-items", description=summary.run)
    # A copy of the table every hour would fill the disk.
    catalog.path.unlink(missing_ok=True)
