"""`item-embeddings`: an item table in, published embeddings out, a task per step.

Tasks hand each other paths and small settings, never tables. A task imports its tools when it runs: to
deploy or schedule the flow neither torch nor MLflow is loaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

from flows.events import ITEMS_PUBLISHED, tell
from flows.stages import Progress, Stages
from flows.steps import IO_STEP, STEP
from flows.summary import AugmentersSummary, RunSummary
from streamrec.config import RunConfig, run_name
from streamrec.errors import StreamRecError

if TYPE_CHECKING:
    from streamrec.augmenters.compare import Compared
    from streamrec.catalog.checks import ValidationResult
    from streamrec.catalog.ingest import Ingested
    from streamrec.catalog.table import Catalog
    from streamrec.evaluation.quality import LatentQuality
    from streamrec.evaluation.report import AugmentersReport
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.bundle import Bundle
    from streamrec.tracking import TrackedRun, TrackingStore
    from streamrec.training.history import History

EXAMPLE_ROWS = 5
REPORT = "report.html"
SUMMARY = "summary.json"


@flow(name="item-embeddings", persist_result=False)
def item_embeddings(config: RunConfig) -> RunSummary:
    """Make, validate, train, evaluate, register and publish; the new bundle's encoder is the champion.

    Augmenters, where the configuration has them, follow once the embeddings are published, which wait
    neither for them nor for their success.

    Raises:
        StreamRecError: of the first step that failed; what was published before stays as it was.
    """
    begun, stages = time.perf_counter(), Stages()
    name = run_name()
    folder = config.out.resolve() / "runs" / name
    published = config.out.resolve() / "published"

    with stages("track"):
        store = open_store(config)
    with store.start_run(name) as run:
        with stages("generate" if config.generate else "ingest") as progress:
            ingested = prepare_catalog(config, folder, progress)
        with stages("validate") as progress:
            record_inputs(config, run, ingested)
            validation = validate_catalog(config, run, ingested, folder, published, progress)
        with stages("train") as progress:
            history = train_encoder(config, ingested.catalog, folder, progress)
        with stages("evaluate") as progress:
            quality = evaluate_encoder(config, ingested.catalog, folder, history, progress)
        with stages("register"):
            encoder = register_encoder(run, ingested.catalog, folder, history, quality)
        with stages("publish") as progress:
            bundle = publish_bundle(config, ingested.catalog, folder, published, encoder, quality, progress)
        with stages("promote"):
            promote_encoder(store, encoder, bundle)
        tell(ITEMS_PUBLISHED, bundle)
        compared, augmenters = augment(config, run, ingested.catalog, folder, stages)
        summary = RunSummary(
            run=name,
            folder=folder,
            bundle=bundle.path,
            items=bundle.manifest.rows,
            refused=ingested.rows_refused,
            dimension=bundle.manifest.dimension,
            model=encoder.name,
            version=encoder.version,
            tracking_uri=store.uri,
            metrics=quality.metrics(),
            example=str(bundle.searcher.items.table[ingested.catalog.schema.item_id][0]),
            warnings=tuple(str(check) for check in validation.warnings),
            augmenters=augmenters,
            seconds=stages.seconds,
            total_seconds=time.perf_counter() - begun,
        )
        with stages("report"):
            report(config, run, ingested, validation, history, quality, bundle, compared, summary)
    return summary.model_copy(
        update={"seconds": stages.seconds, "total_seconds": time.perf_counter() - begun}
    )


@task(**IO_STEP)
def open_store(config: RunConfig) -> TrackingStore:
    """Prepare the MLflow store."""
    from streamrec.tracking import prepare_store

    return prepare_store(config.track)


@task(**IO_STEP)
def prepare_catalog(config: RunConfig, folder: Path, progress: Progress) -> Ingested:
    """Generate or ingest the item table into `folder`."""
    from streamrec.catalog.make import make_catalog

    return make_catalog(config, folder, progress)


@task(**IO_STEP)
def record_inputs(config: RunConfig, run: TrackedRun, ingested: Ingested) -> None:
    """Record the settings and the catalogue in MLflow."""
    run.log_config(config)
    source = config.ingest.path if config.ingest else str(ingested.catalog.path)
    run.log_catalog(ingested.catalog, source, {"rows_refused": ingested.rows_refused})


@task(**STEP)
def validate_catalog(
    config: RunConfig, run: TrackedRun, ingested: Ingested, folder: Path, published: Path, progress: Progress
) -> ValidationResult:
    """Check the catalogue, against the last published one where that has the same schema."""
    from streamrec.catalog.validate import validate
    from streamrec.evaluation.report import RunReport, write_report
    from streamrec.retrieval.reference import published_profile

    catalog, place = ingested.catalog, folder / "validation"
    reference = published_profile(published, catalog.schema)
    result = validate(catalog, config.validation, place, reference, config.seed, progress)
    run.log_files(place, "validation")
    if not result.success:
        write_report(folder / REPORT, RunReport(folder.name, config, ingested, result))
    result.raise_for_critical()
    return result


@task(**STEP)
def train_encoder(config: RunConfig, catalog: Catalog, folder: Path, progress: Progress) -> History:
    """Fit the codec and the model; write them to `folder`/codec and `folder`/model."""
    from streamrec.fit import fit_item_encoder

    epochs = config.train.epochs
    _, history = fit_item_encoder(
        catalog, config, folder, [lambda numbers: progress(int(numbers["epoch"]), epochs)]
    )
    return history


@task(**STEP)
def evaluate_encoder(
    config: RunConfig, catalog: Catalog, folder: Path, history: History, progress: Progress
) -> LatentQuality:
    """Measure the encoder on the held-out items; write what was found to `folder`/evaluation."""
    from streamrec.evaluation.evaluate import evaluate_item_encoder
    from streamrec.retrieval.encoder import ItemEncoder

    encoder, place = ItemEncoder.load(folder), folder / "evaluation"
    return evaluate_item_encoder(catalog, encoder, history, config, place, progress)


@task(**IO_STEP)
def register_encoder(
    run: TrackedRun, catalog: Catalog, folder: Path, history: History, quality: LatentQuality
) -> RegisteredModel:
    """Record the training and the evaluation, and register the encoder as the challenger."""
    import pyarrow as pa

    from streamrec.pyfunc.registry import register_item_encoder

    run.log_history(history.epochs, first_step=1)
    run.log_metrics(quality.metrics())
    run.log_files(folder / "evaluation", "evaluation")
    examples = next(catalog.batches(batch_rows=EXAMPLE_ROWS))
    return register_item_encoder(run, folder, pa.Table.from_batches([examples]))


@task(**IO_STEP)
def publish_bundle(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    encoder: RegisteredModel,
    quality: LatentQuality,
    progress: Progress,
) -> Bundle:
    """Encode every item, index the embeddings, verify the bundle and make it current."""
    from streamrec.catalog.profile import Profile
    from streamrec.retrieval.encoder import ItemEncoder
    from streamrec.retrieval.manifest import ModelSource
    from streamrec.retrieval.publish import publish

    profile = folder / "profile.json"
    Profile.of(catalog, seed=config.seed).save(profile)
    return publish(
        published,
        catalog,
        ItemEncoder.load(folder),
        config.publish,
        config.seed,
        model=ModelSource(name=encoder.name, version=str(encoder.version), run_id=encoder.run_id),
        profile=profile,
        summary=config.model_dump(mode="json", exclude_none=True),
        quality=quality.metrics(),
        progress=progress,
    )


@task(**IO_STEP)
def promote_encoder(store: TrackingStore, encoder: RegisteredModel, bundle: Bundle) -> None:
    """Make the published encoder the champion."""
    from streamrec.pyfunc.registry import promote

    promote(store, encoder.version, {"bundle": bundle.manifest.version})


def augment(
    config: RunConfig, run: TrackedRun, catalog: Catalog, folder: Path, stages: Stages
) -> tuple[Compared | None, AugmentersSummary | None]:
    """Fit, compare and register augmenters, if there are to be any.

    An error is not raised but kept in the summary and as a tag of the MLflow run.
    """
    if config.augmenters is None:
        return None, None
    with stages("augment") as progress:
        try:
            compared = compare_augmenters(config, catalog, folder, progress)
        except Exception as error:
            return None, _without_augmenters(run, error)
    with stages("enrol"):
        try:
            return compared, register_best_augmenter(config, run, compared)
        except Exception as error:
            return compared, _without_augmenters(run, error)


def _without_augmenters(run: TrackedRun, error: Exception) -> AugmentersSummary:
    told = str(error) if isinstance(error, StreamRecError) else f"{type(error).__name__}: {error}"
    run.set_tags({"augmenters.error": told})
    return AugmentersSummary(error=told)


@task(**STEP)
def compare_augmenters(config: RunConfig, catalog: Catalog, folder: Path, progress: Progress) -> Compared:
    """Fit the configured families and judge what they draw; they are written to `folder`/augmenters."""
    from streamrec.fit import fit_augmenters

    return fit_augmenters(catalog, config, folder, progress)


@task(**IO_STEP)
def register_best_augmenter(config: RunConfig, run: TrackedRun, compared: Compared) -> AugmentersSummary:
    """Record the comparison and register its best family, as the champion unless it gives rows away."""
    from streamrec.augmenters.findings import facts, markdown, metrics, reason
    from streamrec.evaluation.synthetic.page import COMPARISON_PAGE, COMPARISON_TABLE
    from streamrec.pyfunc.registry import promote, register_augmenter

    comparison, page = compared.comparison, compared.folder / COMPARISON_PAGE
    run.log_metrics(metrics(comparison))
    for file in (compared.folder / COMPARISON_TABLE, page):
        run.log_files(file, compared.folder.name)
    own = run.of_model(config.track.augmenter_name)
    version = register_augmenter(
        own, compared.best, facts(comparison), markdown(comparison, compared.labels)
    ).version
    champion = comparison.best not in comparison.leaks
    if champion:
        promote(own.store, version)
    return AugmentersSummary(
        family=comparison.best,
        reason=reason(comparison),
        page=page,
        model=own.store.model_name,
        version=version,
        champion=champion,
    )


@task(**IO_STEP)
def report(
    config: RunConfig,
    run: TrackedRun,
    ingested: Ingested,
    validation: ValidationResult,
    history: History,
    quality: LatentQuality,
    bundle: Bundle,
    compared: Compared | None,
    summary: RunSummary,
) -> None:
    """Write the run's page and summary; show them in MLflow and Prefect."""
    from streamrec.evaluation.report import Durations, Published, RunReport, write_report

    page = RunReport(
        summary.run,
        config,
        ingested,
        validation,
        history,
        quality,
        summary.folder / "evaluation",
        Published(bundle.path, bundle.manifest.model_dump(mode="json", by_alias=True), summary.example),
        Durations(summary.seconds, summary.compute, summary.orchestration, summary.total_seconds),
        None if summary.augmenters is None else _augmenters(summary, compared),
    )
    write_report(summary.folder / REPORT, page)
    (summary.folder / SUMMARY).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    run.log_files(summary.folder / REPORT)
    run.log_metrics({f"seconds/{stage}": seconds for stage, seconds in summary.seconds.items()})
    create_markdown_artifact(summary.to_markdown(), key="item-embeddings", description=summary.run)


def _augmenters(summary: RunSummary, compared: Compared | None) -> AugmentersReport:
    from streamrec.augmenters.findings import lines, reason
    from streamrec.evaluation.report import AugmentersReport
    from streamrec.evaluation.synthetic.page import COMPARISON_PAGE

    error = summary.augmenters.error if summary.augmenters else None
    if compared is None:
        return AugmentersReport(error)
    return AugmentersReport(
        error,
        compared.comparison.best,
        reason(compared.comparison),
        lines(compared.comparison, compared.labels),
        f"{compared.folder.name}/{COMPARISON_PAGE}",
    )
