"""Augmenters of a run over items: fitted, compared and registered once its embeddings are published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from flows.stages import Progress, Stages
from flows.steps import IO_STEP, STEP
from flows.summary import AugmentersSummary
from streamrec.config import RunConfig
from streamrec.errors import StreamRecError
from streamrec.stages.items import AUGMENT, ENROL, augment_family

if TYPE_CHECKING:
    from streamrec.augmenters.findings import Findings
    from streamrec.catalog.table import Catalog
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.tracking import TrackedRun


def augment(
    config: RunConfig, run: TrackedRun, catalog: Catalog, folder: Path, stages: Stages
) -> tuple[Findings | None, AugmentersSummary | None]:
    """Fit, compare and register augmenters, if there are to be any.

    An error is not raised but kept in the summary and as a tag of the MLflow run.
    """
    if config.augmenters is None:
        return None, None
    findings = None
    try:
        with stages("augment") as progress:
            findings = stages.kept(
                AUGMENT, lambda: compare_augmenters(config, catalog, folder, stages, progress)
            )
        with stages("enrol"):
            return findings, enrol_augmenter(config, run, findings, stages)
    except Exception as error:
        told = str(error) if isinstance(error, StreamRecError) else f"{type(error).__name__}: {error}"
        run.set_tags({"augmenters.error": told})
        return findings, AugmentersSummary(error=told)


def enrol_augmenter(
    config: RunConfig, run: TrackedRun, findings: Findings, stages: Stages
) -> AugmentersSummary:
    """Record the comparison and register its best family, as the champion unless it gives rows away."""
    from streamrec.pyfunc.registry import find_version

    own = run.of_model(config.track.augmenter_name)
    key = stages.key(ENROL)
    version = stages.adopted(
        find_version(own.store, key),
        lambda found: f"{found.name} version {found.version}",
        lambda: register_best_augmenter(own, findings, key),
    )
    if not findings.leaks:
        promote_augmenter(own, version)
    return AugmentersSummary(
        family=findings.best,
        reason=findings.reason,
        page=findings.page,
        model=version.name,
        version=version.version,
        champion=not findings.leaks,
    )


@task(**STEP)
def compare_augmenters(
    config: RunConfig, catalog: Catalog, folder: Path, stages: Stages, progress: Progress
) -> Findings:
    """Fit the configured families and judge what they draw; they are written to `folder`/augmenters.

    A family that an earlier run has fitted and judged is not fitted again.
    """
    from streamrec.augmenters.findings import Findings
    from streamrec.fit import fit_augmenters

    return Findings.of(
        fit_augmenters(
            catalog,
            config,
            folder,
            progress,
            lambda family, make: stages.kept(augment_family(family), make),
        )
    )


@task(**IO_STEP)
def register_best_augmenter(own: TrackedRun, findings: Findings, key: str) -> RegisteredModel:
    """Record the comparison and register its best family."""
    from streamrec.pyfunc.registry import KEY, register_augmenter

    own.log_metrics(findings.metrics)
    for file in (findings.table, findings.page):
        own.log_files(file, findings.folder.name)
    return register_augmenter(own, findings.model, findings.facts | {KEY: key}, findings.description)


@task(**IO_STEP)
def promote_augmenter(own: TrackedRun, version: RegisteredModel) -> None:
    """Make the registered augmenter the champion."""
    from streamrec.pyfunc.registry import promote

    promote(own.store, version.version)
