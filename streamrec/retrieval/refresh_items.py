"""Table and index of a refreshed bundle: vectors for new and changed items, the same bits for the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.changes import Changes
from streamrec.retrieval.embeddings import (
    EMBEDDING,
    LOG_VARIANCE,
    EmbeddingsWriter,
    check_ids,
    read_vectors,
    stream_vectors,
)
from streamrec.retrieval.manifest import EMBEDDINGS, INDEX, IndexSettings, MeasuredRecall
from streamrec.retrieval.publish import Encoder, encode_checked
from streamrec.retrieval.recall import ExactNeighbours
from streamrec.retrieval.release import Stopwatch

SAMPLE_ROWS = 1_000
"""Unchanged items that are encoded once more: their vectors must come out the same."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class ItemFiles:
    """Table and index of a refreshed bundle in the making."""

    folder: Path
    bundle: Bundle
    catalog: Catalog
    changes: Changes
    encoder: Encoder
    clock: Stopwatch

    @property
    def _columns(self) -> list[str]:
        """Columns of vectors in the bundle's table."""
        names = pq.read_schema(self.bundle.path / EMBEDDINGS).names
        return [name for name in (EMBEDDING, LOG_VARIANCE) if name in names]

    def _published(self) -> list[np.ndarray]:
        return [read_vectors(self.bundle.path / EMBEDDINGS, name) for name in self._columns]

    def check_sample(self) -> None:
        """Encode some unchanged items again."""
        kept = np.flatnonzero(self.changes.kept)
        random = np.random.default_rng(self.bundle.manifest.seed)
        rows = np.sort(random.permutation(kept)[:SAMPLE_ROWS])
        if not len(rows):
            return
        with self.clock("check"):
            sample = self.catalog.rows(rows).combine_chunks().to_batches()[0]
            made = encode_checked(self.encoder, sample, len(self._columns) == 2)
            for found, published in zip(made, self._published(), strict=True):
                other = _differ(found, published[self.changes.positions[rows]])
                if len(other):
                    item = sample.column(self.catalog.schema.item_id)[int(other[0])].as_py()
                    raise BundleError(
                        f"item {item!r}: unchanged, but the bundle's encoder gives it another vector here, "
                        f"as {len(other)} of {len(rows)} sampled items; refresh on the kind of machine that "
                        f"published {self.bundle.manifest.version}, or run in full: streamrec run"
                    )

    def write_table(self, progress: Progress | None) -> int:
        """Write the embeddings; the number of vectors that are zero."""
        published, start = self._published(), 0
        table = self.folder / EMBEDDINGS
        with EmbeddingsWriter(table, self.catalog.schema, self.bundle.manifest.codec_fingerprint) as writer:
            for batch in self.catalog.batches():
                at = slice(start, start + batch.num_rows)
                latents = [vectors[self.changes.positions[at]] for vectors in published]
                fresh = np.flatnonzero(~self.changes.kept[at])
                if len(fresh):
                    with self.clock("encode"):
                        made = encode_checked(self.encoder, batch.take(pa.array(fresh)), len(latents) == 2)
                    for vectors, own in zip(latents, made, strict=True):
                        vectors[fresh] = own
                with self.clock("parquet"):
                    variances = latents[1] if len(latents) == 2 else None
                    writer.write(batch, latents[0], variances, self.changes.hashes[at])
                start = at.stop
                if progress is not None:
                    progress(start, len(self.changes.kept))
        with self.clock("parquet"):
            check_ids(table, self.catalog.schema.item_id)
        return writer.zero_vectors

    def check_kept(self) -> None:
        """Compare the unchanged items' vectors in the finished table with the published ones, bit by bit."""
        kept, positions = self.changes.kept, self.changes.positions
        with self.clock("check"):
            for name, published in zip(self._columns, self._published(), strict=True):
                written = read_vectors(self.folder / EMBEDDINGS, name)
                other = _differ(written[kept], published[positions[kept]])
                if len(other):
                    raise BundleError(
                        f"{self.folder / EMBEDDINGS}: {len(other)} unchanged items have another {name} than "
                        f"in {self.bundle.manifest.version}; nothing was published; run in full"
                    )

    def write_index(self, min_recall: float) -> tuple[IndexSettings, MeasuredRecall]:
        """Index all vectors and measure what is found."""
        table, total, seed = self.folder / EMBEDDINGS, len(self.changes.kept), self.bundle.manifest.seed
        old = self.bundle.searcher.index
        with self.clock("index"):
            known = None
            if old.kind == "ivf":
                known = np.where(self.changes.kept, old.assignments()[self.changes.positions], -1)
            index = old.refilled(lambda: stream_vectors(table), known)
        with self.clock("recall"):
            exact = ExactNeighbours.sample(lambda: stream_vectors(table), total, seed)
            recall = exact.widen(index, min_recall)
        with self.clock("index"):
            index.save(self.folder / INDEX)
        return (
            IndexSettings.of(index),
            MeasuredRecall(k=exact.k, value=recall, queries=len(exact.queries), tolerance=exact.tolerance),
        )


def _differ(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Rows (n, d) float32 that do not have the same bits."""
    same: Any = found.view(np.uint32) == np.ascontiguousarray(expected).view(np.uint32)
    return np.flatnonzero(~same.all(axis=1))
