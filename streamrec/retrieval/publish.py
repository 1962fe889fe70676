"""`publish`: encode the catalogue, index it, measure the index, verify the whole, make it current."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.retrieval.anchors import carry_anchors
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import EmbeddingsWriter, check_ids, stream_vectors
from streamrec.retrieval.index import ItemIndex
from streamrec.retrieval.manifest import (
    EMBEDDINGS,
    INDEX,
    PROFILE,
    Alignment,
    IndexSettings,
    MeasuredRecall,
    ModelSource,
)
from streamrec.retrieval.recall import ExactNeighbours
from streamrec.retrieval.release import Stopwatch, not_published, release
from streamrec.retrieval.releases import Releases
from streamrec.schema import FeatureSchema


class Encoder(Protocol):
    """What `publish` needs of an `ItemEncoder`."""

    @property
    def dimension(self) -> int:
        """Width d of an embedding."""

    @property
    def schema(self) -> FeatureSchema:
        """Schema of the rows it encodes."""

    @property
    def codec_fingerprint(self) -> str:
        """Fingerprint of its codec."""

    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        """Latent means, (n, d) float32."""

    def encode_with_variance(self, rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """Latent means and log-variances, (n, d) float32 each."""

    def save(self, folder: Path) -> None:
        """Write `codec/` and `model/` into a folder."""


def publish(
    root: Path,
    catalog: Catalog,
    encoder: Encoder,
    config: PublishConfig,
    seed: int,
    *,
    model: ModelSource | None = None,
    profile: Path | None = None,
    summary: dict[str, Any] | None = None,
    quality: Mapping[str, float | None] | None = None,
    alignment: Alignment | None = None,
    space: str | None = None,
    created: datetime | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Bundle:
    """Write a bundle of all items beside the older ones under `root` and make it current.

    The catalogue is streamed: memory holds one batch, the index, and the ids and features when the finished
    bundle is verified. The same catalogue, encoder, settings, seed and `created` give the same bytes.

    A process that dies at any moment leaves `current` on the old bundle or on the new one, complete; the
    next call removes what it left. Two calls at once each publish; the later to finish becomes current.

    Args:
        root: folder of bundles; made where absent.
        catalog: the items; its schema must be the encoder's.
        encoder: makes the embeddings.
        config: index, recall to reach, bundles kept.
        seed: of the index's k-means and of the sample that measures recall.
        model: name, version and run of the encoder, for the manifest.
        profile: reference profile to carry as `profile.json`.
        summary: settings of the run, for the manifest (JSON values).
        quality: metrics of the encoder, for the manifest.
        alignment: how the encoder's space lies on an earlier one, for the manifest.
        space: that of the current bundle, where the encoder goes on with it; else the bundle begins its own.
        created: time of publication, with a time zone; now, by default.
        progress: called with (rows encoded, rows in all).

    Returns:
        The new bundle, opened and verified; its `seconds` tell how long each stage took.

    Raises:
        BundleError: the encoder is of another schema; an embedding is not finite (naming the item); an id is
            missing or there twice; the disk refuses. The old bundle stays current and whole.
    """
    if encoder.schema.fingerprint != catalog.schema.fingerprint:
        raise BundleError(
            f"{catalog.path}: schema fingerprint {catalog.schema.fingerprint}, the encoder's is "
            f"{encoder.schema.fingerprint}; train an encoder on this schema"
        )
    releases, clock = Releases(root), Stopwatch()
    try:
        with releases.staging() as folder:
            draft = _write(folder, catalog, encoder, config, seed, clock, progress)
            encoder.save(folder)
            if space is not None and not carry_anchors(root, space, folder):
                space = None
            if profile is not None:
                shutil.copyfile(profile, folder / PROFILE)
            rest = {
                "codec_fingerprint": encoder.codec_fingerprint,
                "model": model or ModelSource(),
                "seed": seed,
                "config": summary,
                "quality": dict(quality) if quality is not None else None,
                "alignment": alignment,
                "space": space,
            }
            return release(releases, folder, draft | rest, config.keep, clock, created)
    except OSError as error:
        raise not_published(root, error) from error


def _write(
    folder: Path,
    catalog: Catalog,
    encoder: Encoder,
    config: PublishConfig,
    seed: int,
    clock: Stopwatch,
    progress: Callable[[int, int | None], None] | None,
) -> dict[str, Any]:
    """Write table and index; the manifest's entries about them."""
    table, total = folder / EMBEDDINGS, catalog.num_rows
    if total == 0:
        raise BundleError(f"{catalog.path}: no rows, expected at least one item; nothing was published")
    with EmbeddingsWriter(table, catalog.schema, encoder.codec_fingerprint) as writer:
        for batch in catalog.batches():
            with clock("encode"):
                latents = encode_checked(encoder, batch, config.log_variance)
            with clock("parquet"):
                writer.write(batch, *latents)
            if progress is not None:
                progress(writer.rows, total)
    with clock("parquet"):
        check_ids(table, catalog.schema.item_id)
    with clock("index"):
        index = ItemIndex.build(config.index, lambda: stream_vectors(table), total, encoder.dimension, seed)
    with clock("recall"):
        exact = ExactNeighbours.sample(lambda: stream_vectors(table), total, seed)
        recall = exact.widen(index, config.min_recall)
    with clock("index"):
        index.save(folder / INDEX)
    return {
        "rows": total,
        "dimension": encoder.dimension,
        "zero_vectors": writer.zero_vectors,
        "features": catalog.schema,
        "schema_fingerprint": catalog.schema.fingerprint,
        "index": IndexSettings.of(index),
        "recall": MeasuredRecall(
            k=exact.k, value=recall, queries=len(exact.queries), tolerance=exact.tolerance
        ),
    }


def encode_checked(
    encoder: Encoder, batch: pa.RecordBatch, log_variance: bool
) -> tuple[np.ndarray] | tuple[np.ndarray, np.ndarray]:
    """Latents (rows, d) of a batch of items, and their log-variances where wanted.

    Raises:
        BundleError: arrays of another shape or type.
    """
    latents = encoder.encode_with_variance(batch) if log_variance else (encoder.encode(batch),)
    expected = (batch.num_rows, encoder.dimension)
    for array in latents:
        if array.shape != expected or array.dtype != np.float32:
            raise BundleError(
                f"encoder: gave {array.dtype} of shape {array.shape}, expected float32 of shape {expected}"
            )
    return latents
