"""Synthetic items beside the published ones: what the run's best augmenter draws, for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from flows.stages import Stages
from flows.steps import IO_STEP
from flows.summary import AugmentersSummary
from streamrec.config import RunConfig
from streamrec.errors import StreamRecError

if TYPE_CHECKING:
    from streamrec.augmenters.findings import Findings
    from streamrec.retrieval.bundle import Bundle
    from streamrec.retrieval.manifest import PublishedSamples
    from streamrec.tracking import TrackedRun

SAMPLE_ROWS = 2_000
"""Enough to see where an augmenter draws rows and where it does not."""


def with_samples(
    config: RunConfig,
    run: TrackedRun,
    bundle: Bundle,
    findings: Findings | None,
    augmenters: AugmentersSummary | None,
    stages: Stages,
) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle with samples of the best augmenter, unless that gives training rows away.

    Returns:
        The bundle that is current now, and warnings: an error is not raised but told, the embeddings are
        published all the same.
    """
    from streamrec.retrieval.manifest import ModelSource, PublishedSamples

    if findings is None or findings.leaks or augmenters is None or augmenters.error is not None:
        return bundle, ()
    source = ModelSource(name=augmenters.model, version=str(augmenters.version))
    wanted = PublishedSamples(rows=SAMPLE_ROWS, family=findings.best, model=source, seed=config.seed)
    there = bundle if bundle.manifest.samples == wanted else None
    try:
        with stages("samples"):
            made = stages.adopted(
                there,
                lambda found: f"bundle {found.manifest.version}",
                lambda: publish_drawn(config, bundle, findings.model, wanted),
            )
    except Exception as error:
        told = str(error) if isinstance(error, StreamRecError) else f"{type(error).__name__}: {error}"
        run.set_tags({"samples.error": told})
        return bundle, (f"samples: {told}",)
    return made, ()


@task(**IO_STEP)
def publish_drawn(config: RunConfig, bundle: Bundle, augmenter: Path, wanted: PublishedSamples) -> Bundle:
    """Draw rows, encode them with the bundle's encoder and publish them beside its items."""
    from streamrec.augmenters.store import load_augmenter
    from streamrec.retrieval.encoder import ItemEncoder
    from streamrec.retrieval.publish_samples import publish_samples

    rows = load_augmenter(augmenter).sample(wanted.rows, seed=wanted.seed)
    vectors = ItemEncoder.load(bundle.path).encode(rows)
    root, keep = bundle.path.parent, config.publish.keep
    return publish_samples(root, bundle, rows, vectors, wanted.family, wanted.model, wanted.seed, keep)
