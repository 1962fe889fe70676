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

    def encode(self, progress: Progress | None) -> list[np.ndarray]:
        """Vectors (n, d) of all items, and their log-variances where the bundle has them.

        Those of unchanged items are the published ones; a seeded sample of them is encoded again, and must
        come out the same.
        """
        kept, positions, schema = self.changes.kept, self.changes.positions, self.catalog.schema
        again = np.zeros(len(kept), dtype=bool)
        random = np.random.default_rng(self.bundle.manifest.seed)
        again[random.permutation(np.flatnonzero(kept))[:SAMPLE_ROWS]] = True
        latents = [vectors[positions] for vectors in self._published()]
        other, start = np.empty(0, np.int64), 0
        for batch in self.catalog.batches([schema.item_id, *schema.feature_columns]):
            rows = start + np.flatnonzero((~kept | again)[start : start + batch.num_rows])
            if len(rows):
                with self.clock("encode"):
                    chosen = batch.take(pa.array(rows - start))
                    made = encode_checked(self.encoder, chosen, len(latents) == 2)
                for vectors, own in zip(latents, made, strict=True):
                    other = np.union1d(other, rows[again[rows] & _differ(own, vectors[rows])])
                    vectors[rows] = own
            start += batch.num_rows
            if progress is not None:
                progress(start, len(kept))
        if len(other):
            item = self.catalog.rows(other[:1], [schema.item_id]).column(0)[0].as_py()
            raise BundleError(
                f"item {item!r}: unchanged, but the bundle's encoder gives it another vector here, as "
                f"{len(other)} of {again.sum()} sampled items; refresh on the kind of machine that published "
                f"{self.bundle.manifest.version}, or run in full: streamrec run"
            )
        return latents

    def write_table(self, latents: list[np.ndarray]) -> int:
        """Write the embeddings; the number of vectors that are zero."""
        table, schema, start = self.folder / EMBEDDINGS, self.catalog.schema, 0
        with (
            self.clock("parquet"),
            EmbeddingsWriter(table, schema, self.bundle.manifest.codec_fingerprint) as writer,
        ):
            for batch in self.catalog.batches():
                at = slice(start, start + batch.num_rows)
                variances = latents[1][at] if len(latents) == 2 else None
                writer.write(batch, latents[0][at], variances, self.changes.hashes[at])
                start = at.stop
        check_ids(table, schema.item_id)
        return writer.zero_vectors

    def check_kept(self) -> None:
        """Compare the unchanged items' vectors in the finished table with the published ones, bit by bit."""
        kept, positions = self.changes.kept, self.changes.positions
        with self.clock("check"):
            for name, published in zip(self._columns, self._published(), strict=True):
                written = read_vectors(self.folder / EMBEDDINGS, name)
                other = int(_differ(written[kept], published[positions[kept]]).sum())
                if other:
                    raise BundleError(
                        f"{self.folder / EMBEDDINGS}: {other} unchanged items have another {name} than "
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
    """(n,) which rows (n, d) float32 do not have the same bits."""
    same: Any = found.view(np.uint32) == np.ascontiguousarray(expected).view(np.uint32)
    return np.asarray(~same.all(axis=1))
