"""Tasks of `item-embeddings`, in the order of its steps.

They hand each other paths and small settings, never tables. A task imports its tools when it runs: to deploy
or schedule the flow neither torch nor MLflow is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact

from flows.stages import Progress, Stages
from flows.steps import IO_STEP, STEP
from flows.summary import RunSummary
from streamrec.config import RunConfig
from streamrec.stages.items import PROFILE, TRAIN

if TYPE_CHECKING:
    from streamrec.augmenters.findings import Findings
    from streamrec.catalog.checks import ValidationResult
    from streamrec.catalog.ingest import Ingested
    from streamrec.catalog.table import Catalog
    from streamrec.evaluation.quality import LatentQuality
    from streamrec.evaluation.report import AugmentersReport
    from streamrec.promotion.challenger import Challenger
    from streamrec.promotion.decision import Decision
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.aligned_space import AlignedSpace
    from streamrec.retrieval.bundle import Bundle
    from streamrec.tracking import TrackedRun, TrackingStore
    from streamrec.training.history import History

EXAMPLE_ROWS = 5
REPORT = "report.html"
SUMMARY = "summary.json"


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


@task(**IO_STEP)
def profile_catalog(config: RunConfig, catalog: Catalog, folder: Path) -> Path:
    """Write what the columns look like to `folder`/profile.json."""
    from streamrec.catalog.profile import Profile

    path = folder / PROFILE.files[0]
    Profile.of(catalog, seed=config.seed).save(path)
    return path


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
def train_encoder(
    config: RunConfig, catalog: Catalog, folder: Path, stages: Stages, progress: Progress
) -> History:
    """Fit the codec and the model; write them to `folder`/codec and `folder`/model.

    A training that was killed goes on from its last checkpoint.
    """
    from streamrec.fit import fit_item_encoder

    epochs = config.train.epochs
    _, history = fit_item_encoder(
        catalog,
        config,
        folder,
        [lambda numbers: progress(int(numbers["epoch"]), epochs)],
        checkpoints=stages.finished.unfinished(TRAIN),
    )
    return history


@task(**IO_STEP)
def align_space(
    config: RunConfig, run: TrackedRun, catalog: Catalog, folder: Path, published: Path
) -> AlignedSpace:
    """Rotate the encoder's space onto the published one; the rotation goes to `folder`/model."""
    from streamrec.retrieval.aligned_space import align_encoder

    space = align_encoder(folder, catalog, published, config.seed)
    if space.alignment is not None:
        facts = space.alignment.model_dump(exclude={"reference"})
        run.log_metrics({f"alignment/{name}": float(value) for name, value in facts.items()})
        run.set_tags({"alignment.reference": space.alignment.reference})
    return space


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
    run: TrackedRun, catalog: Catalog, folder: Path, history: History, quality: LatentQuality, key: str
) -> RegisteredModel:
    """Record the training and the evaluation, and register the encoder as the challenger."""
    import pyarrow as pa

    from streamrec.pyfunc.registry import KEY, register_item_encoder

    run.log_history(history.epochs, first_step=1)
    run.log_metrics(quality.metrics())
    run.log_files(folder / "evaluation", "evaluation")
    examples = next(catalog.batches(batch_rows=EXAMPLE_ROWS))
    return register_item_encoder(run, folder, pa.Table.from_batches([examples]), {KEY: key})


@task(**STEP)
def judge_encoder(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    encoder: RegisteredModel,
    progress: Progress,
) -> Decision:
    """Hold the encoder against that of the current bundle, on items that neither was trained on."""
    from streamrec.promotion import judge_encoder as promotion
    from streamrec.promotion.aliases import TAKEN_BACK

    taken_back = encoder.tags.get(TAKEN_BACK)
    return promotion.judge_encoder(config, catalog, folder, published, taken_back, progress)


@task(**IO_STEP)
def publish_bundle(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    challenger: Challenger,
    decision: Decision,
    progress: Progress,
) -> Bundle:
    """Encode every item, index the embeddings, verify the bundle and make it current."""
    from streamrec.promotion.publish_challenger import publish_encoder

    return publish_encoder(config, catalog, folder, published, challenger, decision, progress)


@task(**IO_STEP)
def promote_encoder(store: TrackingStore, published: Path) -> None:
    """Make the encoder of the current bundle the champion: that of this run, unless somebody rolled back."""
    from streamrec.promotion.aliases import follow_bundle

    follow_bundle(published, store, "items")


@task(**IO_STEP)
def report(
    config: RunConfig,
    run: TrackedRun,
    ingested: Ingested,
    validation: ValidationResult,
    history: History,
    quality: LatentQuality,
    decision: Decision,
    bundle: Bundle | None,
    findings: Findings | None,
    summary: RunSummary,
) -> None:
    """Write the run's page and summary; show them in MLflow and Prefect."""
    from streamrec.evaluation.report import (
        Durations,
        PromotionReport,
        Published,
        RunReport,
        write_report,
    )

    manifest = None if bundle is None else bundle.manifest.model_dump(mode="json", by_alias=True)

    page = RunReport(
        summary.run,
        config,
        ingested,
        validation,
        history,
        quality,
        summary.folder / "evaluation",
        None if bundle is None or manifest is None else Published(bundle.path, manifest, summary.example),
        Durations(
            summary.seconds, summary.compute, summary.orchestration, summary.total_seconds, summary.reused
        ),
        None if summary.augmenters is None else _augmenters(summary, findings),
        PromotionReport(decision.headline, decision.promoted, decision.lines(), decision.notes),
    )
    write_report(summary.folder / REPORT, page)
    (summary.folder / SUMMARY).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    run.log_files(summary.folder / REPORT)
    run.log_metrics({f"seconds/{stage}": seconds for stage, seconds in summary.seconds.items()})
    run.set_tags({f"reused.{stage}": source for stage, source in summary.reused.items()})
    create_markdown_artifact(summary.to_markdown(), key="item-embeddings", description=summary.run)


def _augmenters(summary: RunSummary, findings: Findings | None) -> AugmentersReport:
    from streamrec.evaluation.report import AugmentersReport

    error = summary.augmenters.error if summary.augmenters else None
    if findings is None:
        return AugmentersReport(error)
    page = findings.page.relative_to(summary.folder).as_posix()
    return AugmentersReport(error, findings.best, findings.reason, findings.lines, page)
