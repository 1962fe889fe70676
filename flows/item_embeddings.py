"""`item-embeddings`: an item table in, published embeddings out, a task per step.

Here are the flow and what decides which steps of earlier runs are reused; the steps are in
`flows.item_tasks`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow
from prefect.states import State

from flows.augmenters import augment
from flows.events import ITEMS_PUBLISHED, tell, tell_refused
from flows.item_tasks import (
    align_space,
    evaluate_encoder,
    judge_encoder,
    open_store,
    prepare_catalog,
    profile_catalog,
    promote_encoder,
    publish_bundle,
    record_inputs,
    register_encoder,
    report,
    train_encoder,
    validate_catalog,
)
from flows.promotion import not_promoted, record_decision
from flows.samples import with_samples
from flows.stages import Progress, Stages, alone
from flows.summary import RunSummary
from streamrec.config import RunConfig
from streamrec.stages.items import (
    ALIGN,
    ANNOUNCE,
    CATALOG,
    EVALUATE,
    PROFILE,
    REGISTER,
    TRAIN,
    VALIDATE,
    Validated,
)

if TYPE_CHECKING:
    from streamrec.catalog.checks import ValidationResult
    from streamrec.catalog.ingest import Ingested
    from streamrec.catalog.table import Catalog
    from streamrec.evaluation.quality import LatentQuality
    from streamrec.promotion.challenger import Challenger
    from streamrec.promotion.decision import Decision
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.retrieval.aligned_space import AlignedSpace
    from streamrec.retrieval.bundle import Bundle
    from streamrec.tracking import TrackedRun
    from streamrec.training.history import History


@flow(name="item-embeddings", persist_result=False)
def item_embeddings(config: RunConfig) -> RunSummary | State[RunSummary]:
    """Make, validate, train, align, evaluate, register, judge and publish; then the encoder is the champion.

    An encoder that does not hold against the published one is not published: the run ends in the failed state
    `NotPromoted`, once its report is written. Augmenters, where the configuration has them, follow once the
    embeddings are published, which wait neither for them nor for their success. The publication is announced
    after them: what that starts must not be made of a bundle that one with samples is about to replace. What
    an earlier run has finished is not done again.

    Raises:
        NotPromotedError: the encoder was refused.
        StreamRecError: of the first step that failed; what was published before stays as it was.
    """
    begun = time.perf_counter()
    with alone("item-embeddings", config) as (folder, stages):
        with stages("track"):
            store = open_store(config)
        with store.start_run(folder.name) as run:
            with stages("generate" if config.generate else "ingest") as progress:
                ingested = catalogue(config, folder, stages, progress)
            catalog, published = ingested.catalog, config.out.resolve() / "published"
            with stages("validate") as progress:
                record_inputs(config, run, ingested)
                validation = validated(config, run, ingested, folder, published, stages, progress)
            with stages("train") as progress:
                history = stages.kept(TRAIN, lambda: train_encoder(config, catalog, folder, stages, progress))
            with stages("align"):
                space = stages.kept(
                    ALIGN,
                    lambda: align_space(config, run, catalog, folder, published),
                    lambda found: found.holds(folder, published),
                )
            with stages("evaluate") as progress:
                quality = stages.kept(
                    EVALUATE, lambda: evaluate_encoder(config, catalog, folder, history, progress)
                )
            with stages("register"):
                encoder = registered(run, catalog, folder, history, quality, stages)
            with stages("judge") as progress:
                challenger = kept_challenger(config, folder, encoder, space, quality)
                current = in_use(config, published, encoder)
                decision = judged(config, run, catalog, folder, published, encoder, current, progress)
            bundle, findings, augmenters = None, None, None
            warnings: tuple[str, ...] = ()
            if decision.promoted:
                with stages("publish") as progress:
                    bundle = published_bundle(
                        config, catalog, folder, published, challenger, decision, current, stages, progress
                    )
                with stages("promote"):
                    promote_encoder(store, published)
                findings, augmenters = augment(config, run, catalog, folder, stages)
                first = bundle
                bundle, warnings = with_samples(config, run, first, findings, augmenters, stages)
                with stages("announce"):
                    if bundle is not first:
                        promote_encoder(store, published)
                    announce(bundle, stages)
            summary = RunSummary(
                run=folder.name,
                folder=folder,
                bundle=None if bundle is None else bundle.path,
                promotion=decision.headline,
                items=catalog.num_rows,
                refused=ingested.rows_refused,
                dimension=config.model.latent_dim,
                model=encoder.name,
                version=encoder.version,
                tracking_uri=store.uri,
                metrics=quality.metrics(),
                example=first_item(catalog),
                warnings=(*(str(check) for check in validation.warnings), *warnings),
                augmenters=augmenters,
                seconds=stages.seconds,
                total_seconds=time.perf_counter() - begun,
                reused=stages.reused,
            )
            with stages("report"):
                report(
                    config, run, ingested, validation, history, quality, decision, bundle, findings, summary
                )
    if bundle is None:
        tell_refused(published, folder.name, decision)
        return not_promoted(decision, folder)
    return summary.model_copy(
        update={"seconds": stages.seconds, "total_seconds": time.perf_counter() - begun}
    )


def catalogue(config: RunConfig, folder: Path, stages: Stages, progress: Progress) -> Ingested:
    """The item table and its profile; a user's table is known by its content, one at a URL is read anew."""
    from streamrec.stages.sources import source_digest

    table = config.ingest
    stages.finished.give("source", "made" if table is None else source_digest(table.path, table.format))
    ingested = stages.kept(CATALOG, lambda: prepare_catalog(config, folder, progress))
    stages.finished.give("schema", ingested.catalog.schema.fingerprint)
    stages.kept(PROFILE, lambda: profile_catalog(config, ingested.catalog, folder))
    return ingested


def validated(
    config: RunConfig,
    run: TrackedRun,
    ingested: Ingested,
    folder: Path,
    published: Path,
    stages: Stages,
    progress: Progress,
) -> ValidationResult:
    """Checks of the catalogue, those of an earlier run where it was compared with the same as now."""
    from streamrec.files import checksum
    from streamrec.retrieval.reference import published_checksum

    reference, own = (
        published_checksum(published, ingested.catalog.schema),
        checksum(folder / PROFILE.files[0]),
    )

    def check() -> Validated:
        return Validated(validate_catalog(config, run, ingested, folder, published, progress), reference)

    return stages.kept(VALIDATE, check, lambda found: found.holds_against(reference, own)).result


def registered(
    run: TrackedRun,
    catalog: Catalog,
    folder: Path,
    history: History,
    quality: LatentQuality,
    stages: Stages,
) -> RegisteredModel:
    """The encoder's version: the one that was registered of this training already, if it is still there."""
    from streamrec.pyfunc.registry import find_version

    key = stages.key(REGISTER)
    return stages.adopted(
        find_version(run.store, key),
        lambda found: f"{found.name} version {found.version}",
        lambda: register_encoder(run, catalog, folder, history, quality, key),
    )


def kept_challenger(
    config: RunConfig, folder: Path, encoder: RegisteredModel, space: AlignedSpace, quality: LatentQuality
) -> Challenger:
    """What `streamrec promote` needs of the run, also kept in its folder."""
    from streamrec.promotion.challenger import Challenger

    made = Challenger(part="items", model=encoder.source, quality=dict(quality.metrics()), space=space)
    made.write(folder, config)
    return made


def in_use(config: RunConfig, published: Path, encoder: RegisteredModel) -> Bundle | None:
    """The current bundle, if that version made it."""
    from streamrec.retrieval.reference import published_items

    return published_items(published, encoder.source, config.publish, config.seed)


def judged(
    config: RunConfig,
    run: TrackedRun,
    catalog: Catalog,
    folder: Path,
    published: Path,
    encoder: RegisteredModel,
    current: Bundle | None,
    progress: Progress,
) -> Decision:
    """Whether that version replaces the champion; nothing is measured where it is the champion."""
    from streamrec.promotion.decision import Decision

    if current is None:
        decision = judge_encoder(config, catalog, folder, published, encoder, progress)
        record_decision(run, folder, encoder, decision, "item-embeddings")
        return decision
    decision = Decision.standing(current.manifest.version)
    decision.write(folder)
    return decision


def published_bundle(
    config: RunConfig,
    catalog: Catalog,
    folder: Path,
    published: Path,
    challenger: Challenger,
    decision: Decision,
    current: Bundle | None,
    stages: Stages,
    progress: Progress,
) -> Bundle:
    """The bundle of that version: the current one, if it is."""
    from streamrec.stages.sources import items_digest

    bundle = stages.adopted(
        current,
        lambda found: f"bundle {found.manifest.version}",
        lambda: publish_bundle(config, catalog, folder, published, challenger, decision, progress),
    )
    stages.finished.give("bundle", items_digest(bundle.manifest))
    return bundle


def announce(bundle: Bundle, stages: Stages) -> None:
    """Tell of a bundle once, also where the run that published it ended before it could.

    Its items are told of, not its version: towers that are published with them are no new items.
    """

    def announced() -> str:
        tell(ITEMS_PUBLISHED, bundle)
        return bundle.manifest.version

    stages.kept(ANNOUNCE, announced, lambda found: "publish" in stages.reused)


def first_item(catalog: Catalog) -> str:
    """Id of the first item."""
    (row,) = next(catalog.batches([catalog.schema.item_id], batch_rows=1)).to_pylist()
    return str(row[catalog.schema.item_id])
