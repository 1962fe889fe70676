"""Reading a bundle's files, each verified first: nothing of a bundle is used that does not fit the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from streamrec.errors import BundleError
from streamrec.retrieval.embeddings import CODEC_KEY, EMBEDDING, SCHEMA_KEY, published_columns, to_matrix
from streamrec.retrieval.index import ItemIndex, normalised
from streamrec.retrieval.manifest import (
    CODEC,
    EMBEDDINGS,
    INDEX,
    MANIFEST,
    MODEL,
    TOWERS,
    FileRecord,
    Manifest,
)
from streamrec.retrieval.read_towers import read_towers
from streamrec.retrieval.tower_search import TowerSearch
from streamrec.schema import FeatureSchema

_SELF_QUERIES = 32
_SCORE_ERROR = 1e-4
"""Allowed difference between a cosine from the index and from the table: float32 rounding is below 1e-6."""

T = TypeVar("T")


@dataclass(frozen=True)
class BundleReader:
    """Reads the parts of a bundle's folder against its manifest."""

    folder: Path
    manifest: Manifest

    @classmethod
    def of(cls, folder: Path) -> BundleReader:
        """Read the manifest.

        Raises:
            BundleError: it is absent, altered, contradicts itself or lacks a file that every bundle has.
        """
        path = folder / MANIFEST
        manifest = Manifest.read(path)
        for required in (EMBEDDINGS, INDEX, CODEC, MODEL):
            if required not in manifest.files:
                raise BundleError(f"{path}: lists no {required}; publish again")
        fingerprint = manifest.features.fingerprint
        if fingerprint != manifest.schema_fingerprint:
            raise _mismatch(path, "schema fingerprint", fingerprint, manifest.schema_fingerprint)
        check_towers(manifest, str(path))
        return cls(folder, manifest)

    def read(self) -> tuple[ItemIndex, pa.Table, TowerSearch | None]:
        """Verify every file; the index, the table of ids and features, and the towers where it has any.

        Raises:
            BundleError: a file is absent, altered or does not fit the rest, with both values.
        """
        readers: dict[str, Callable[[BufferedReader], Any]] = {
            CODEC: self._check_codec,
            MODEL: self._check_model,
        }
        for name in self.manifest.files:
            if name not in (INDEX, EMBEDDINGS):
                self._verified(name, readers.get(name, lambda file: None))
        index = self._verified(INDEX, self._read_index)
        table = self._verified(EMBEDDINGS, lambda file: self._read_items(file, index))
        return index, table, self._read_towers(table)

    def table(self, name: str) -> pa.Table:
        """A Parquet file of the bundle, verified.

        Raises:
            BundleError: it is absent, altered or no Parquet.
        """
        try:
            return self._verified(
                name, lambda file: pq.ParquetFile(file, pre_buffer=False).read(use_threads=False)
            )
        except pa.ArrowException as error:
            raise BundleError(f"{self.folder / name}: not a table: {error}; publish again") from None

    def _verified(self, name: str, read: Callable[[BufferedReader], T]) -> T:
        """Check a file, then read it through the same descriptor: what was checked is what is used."""
        path, stated = self.folder / name, self.manifest.files.get(name)
        if stated is None:
            raise BundleError(f"{self.folder / MANIFEST}: lists no {name}; publish again")
        try:
            with path.open("rb") as file:
                found = FileRecord.of(file)
                _agree(
                    path,
                    ("size in bytes", found.bytes, stated.bytes),
                    ("SHA-256", found.sha256, stated.sha256),
                )
                return read(file)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot read a file of the bundle: {error.strerror or error}"
            ) from None

    def _check_codec(self, file: BufferedReader) -> None:
        path, codec = self.folder / CODEC, self._json(file)
        try:
            schema = FeatureSchema.model_validate(codec.get("schema")).fingerprint
        except ValidationError:
            schema = "none"
        _agree(
            path,
            ("codec fingerprint", codec.get("fingerprint"), self.manifest.codec_fingerprint),
            ("schema fingerprint", schema, self.manifest.schema_fingerprint),
        )

    def _check_model(self, file: BufferedReader) -> None:
        config = self._json(file).get("config")
        dimension = config.get("latent_dim") if isinstance(config, dict) else None
        _agree(self.folder / MODEL, ("dimension of the latent", dimension, self.manifest.dimension))

    def _json(self, file: BufferedReader) -> dict[str, Any]:
        try:
            data = json.load(file)
        except ValueError:
            data = None
        return data if isinstance(data, dict) else {}

    def _read_index(self, file: BufferedReader) -> ItemIndex:
        path, manifest = self.folder / INDEX, self.manifest
        index = ItemIndex.read(file, str(path), manifest.index.nprobe)
        _agree(
            path,
            ("kind", index.kind, manifest.index.kind),
            ("dimension", index.dimension, manifest.dimension),
            ("row count", index.rows, manifest.rows),
            ("number of lists", index.lists, manifest.index.lists),
        )
        return index

    def _read_items(self, file: BufferedReader, index: ItemIndex) -> pa.Table:
        path, manifest = self.folder / EMBEDDINGS, self.manifest
        try:
            # No read-ahead and no threads: Arrow's threads may still hold the Python file's buffers when the
            # interpreter ends, and then abort the process.
            categories = list(manifest.features.categorical)
            parquet = pq.ParquetFile(file, pre_buffer=False, read_dictionary=categories)
            stored = parquet.schema_arrow.metadata or {}
            _agree(
                path,
                ("row count", parquet.metadata.num_rows, manifest.rows),
                ("dimension", parquet.schema_arrow.field(EMBEDDING).type.list_size, manifest.dimension),
                ("schema fingerprint", stored.get(SCHEMA_KEY, b"").decode(), manifest.schema_fingerprint),
                ("codec fingerprint", stored.get(CODEC_KEY, b"").decode(), manifest.codec_fingerprint),
            )
            self._check_positions(parquet, index)
            table = parquet.read(published_columns(manifest.features), use_threads=False)
            # One dictionary and one chunk: otherwise each `take` would join the row groups again.
            return table.unify_dictionaries().combine_chunks()
        except (pa.ArrowException, KeyError, AttributeError) as error:
            raise BundleError(f"{path}: not a table of embeddings: {error}; publish again") from None

    def _read_towers(self, items: pa.Table) -> TowerSearch | None:
        """The towers, whose items must be the bundle's, in the same order."""
        if self.manifest.towers is None:
            return None
        folder = self.folder / TOWERS
        towers = read_towers(lambda name, read: self._verified(f"{TOWERS}/{name}", read), str(folder))
        _agree(folder, ("description", towers.facts, self.manifest.towers.facts))
        if not towers.items.column.equals(items[self.manifest.features.item_id]):
            raise BundleError(
                f"{folder}: has other items than {EMBEDDINGS}, or in another order; make the towers again"
            )
        return towers

    def _check_positions(self, parquet: pq.ParquetFile, index: ItemIndex) -> None:
        """Sampled rows of the table must be in the index at the same position, and be found there."""
        sample = np.random.default_rng(self.manifest.seed).choice(
            self.manifest.rows, size=min(self.manifest.rows, _SELF_QUERIES), replace=False
        )
        end = 0
        for group in range(parquet.num_row_groups):
            start, end = end, end + parquet.metadata.row_group(group).num_rows
            here = sample[(sample >= start) & (sample < end)]
            if len(here):
                column = parquet.read_row_group(group, columns=[EMBEDDING], use_threads=False)[EMBEDDING]
                vectors = normalised(to_matrix(column)[here - start])
                self._check_found(index, here, vectors)

    def _check_found(self, index: ItemIndex, rows: np.ndarray, vectors: np.ndarray) -> None:
        scores, _ = index.search(vectors, 1)
        for row, vector, best in zip(rows, vectors, scores[:, 0], strict=True):
            own = float(vector @ vector)  # 1, but 0 for a vector of zeros
            held = float(np.abs(index.vector(int(row)) - vector).max())
            if held > _SCORE_ERROR or best < own - _SCORE_ERROR:
                raise BundleError(
                    f"{self.folder / INDEX}: row {row} differs by {held:.3g} from its vector in {EMBEDDINGS} "
                    f"and finds a cosine of {best:.4f}, expected {own:.4f}; publish again"
                )


def check_towers(manifest: Manifest, name: str) -> None:
    """Refuse towers that were trained on another item encoder, or for other items, than the bundle's.

    Raises:
        BundleError: with what was found and expected; `name` is named.
    """
    if manifest.towers is None:
        return
    facts = manifest.towers.facts
    if facts.encoder_fingerprint != manifest.encoder_fingerprint:
        raise BundleError(
            f"{name}: the towers were trained on the item encoder {facts.encoder_fingerprint[:16]}, "
            f"the bundle's is {manifest.encoder_fingerprint[:16]}; train the towers on this bundle"
        )
    if facts.items != manifest.rows:
        raise BundleError(
            f"{name}: the towers have {facts.items} items, the bundle {manifest.rows}; "
            "make the towers of this bundle"
        )


def _agree(path: Path, *facts: tuple[str, object, object]) -> None:
    for what, found, stated in facts:
        if found != stated:
            raise _mismatch(path, what, found, stated)


def _mismatch(path: Path, what: str, found: object, stated: object) -> BundleError:
    return BundleError(
        f"{path}: {what} is {found}, {MANIFEST} says {stated}: altered, or from another bundle; "
        "publish again or go back to an older bundle"
    )
