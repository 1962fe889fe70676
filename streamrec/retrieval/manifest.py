"""`Manifest`: what a bundle says about itself, and the checksums that hold it to its word."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamrec.errors import BundleError
from streamrec.retrieval.index import IndexKind, ItemIndex
from streamrec.schema import FeatureSchema

MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings.parquet"
INDEX = "items.faiss"
PROFILE = "profile.json"
CODEC = "codec/codec.json"
MODEL = "model/model.json"
TOWERS = "towers"
"""Folder of the towers, in a bundle that recommends items to users."""

FORMAT: Final = 1
"""Layout of a bundle; a reader refuses a number it does not know."""
_BLANK = "0" * 64
_OPTIONAL = ("towers", "space", "alignment", "refreshed", "samples")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ModelSource(_Part):
    """Where the encoder came from."""

    name: str | None = None
    """Registered model."""
    version: str | None = None
    """Its version in the registry."""
    run_id: str | None = None
    """Tracking run that trained it."""


class IndexSettings(_Part):
    """How `items.faiss` was built and is to be searched."""

    kind: IndexKind
    """`flat`: exact scan; `ivf`: inverted lists."""
    lists: int | None = None
    """Number of inverted lists (ivf)."""
    nprobe: int | None = None
    """Lists to probe per query to reach the recall stated here (ivf)."""

    @classmethod
    def of(cls, index: ItemIndex) -> IndexSettings:
        """Those of an index."""
        return cls(kind=index.kind, lists=index.lists, nprobe=index.nprobe)


class MeasuredRecall(_Part):
    """Share of the true neighbours that the index finds with its settings.

    Queries are a seeded sample, of the items for `items.faiss`; an item itself is left out of its neighbours.
    A returned row counts when its score is at least the exact k-th score less `tolerance`.
    """

    k: int
    """Neighbours per query."""
    value: float = Field(ge=0, le=1)
    """Recall@k."""
    queries: int
    """Number of sampled queries."""
    tolerance: float
    """Allowance for ties, in the unit of the scores."""


class FileRecord(_Part):
    """One file of the bundle."""

    bytes: int = Field(ge=0)
    """Size."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the content."""

    @classmethod
    def of(cls, file: BufferedReader) -> FileRecord:
        """Size and checksum of an open file, which is left at its start."""
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        return cls(bytes=size, sha256=digest)


class TowerFacts(_Part):
    """What the files of the towers are; they say so themselves too, in `towers.json`."""

    items: int = Field(ge=1)
    """Items that have a vector: those of the bundle, in its order."""
    users: int = Field(ge=1)
    """Users that have a vector."""
    dimension: int = Field(ge=1)
    """Entries of a vector."""
    metric: Literal["inner_product"] = "inner_product"
    """Vectors of users and items are compared as they are."""
    item_index: IndexSettings
    """How the index of the items was built."""
    item_recall: MeasuredRecall
    """What it finds for users."""
    user_index: IndexSettings
    """How the index of the users was built."""
    user_recall: MeasuredRecall
    """What it finds for items."""
    encoder_fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the item encoder that the towers were trained on: see `encoder_fingerprint`."""
    seed: int
    """Seed of the indexes and of the samples."""


class PublishedTowers(_Part):
    """The part of a bundle that recommends items to users."""

    facts: TowerFacts
    """What its files are."""
    model: ModelSource = ModelSource()
    """Where the towers came from."""
    encoder: ModelSource = ModelSource()
    """The item encoder that they were trained on."""
    quality: dict[str, float | None] | None = None
    """Metrics of the recommendations; null where one is not a number."""


class Alignment(_Part):
    """How the encoder's space lies on that of an earlier bundle, after the rotation that is part of it.

    Measured on the items that both bundles have with equal content; see `streamrec.retrieval.alignment`.
    """

    reference: str
    """Version of the earlier bundle."""
    common_items: int = Field(ge=0)
    """Items that the rotation was found from."""
    mean_cosine: float = Field(ge=-1, le=1)
    """Mean cosine of an item's earlier vector and its vector here."""
    p05_cosine: float = Field(ge=-1, le=1)
    """Their 5th percentile: all but one item in twenty lie at least as near."""
    relative_residual: float = Field(ge=0)
    """Length of all that is left between the vectors, over the length of the earlier ones."""
    comparable: bool
    """Whether vectors of both bundles may be compared with one another."""


class Refreshed(_Part):
    """How a bundle was made from an earlier one by the same encoder."""

    source: str
    """Version of the earlier bundle."""
    encoded: int = Field(ge=0)
    """New and changed items, whose vectors were made."""
    kept: int = Field(ge=0)
    """Unchanged items, whose vectors were copied."""
    removed: int = Field(ge=0)
    """Items of the earlier bundle that the catalogue no longer has."""


class PublishedSamples(_Part):
    """Synthetic items that lie beside the real ones."""

    rows: int = Field(ge=1)
    """Number of them."""
    family: str
    """Augmenter that drew them."""
    model: ModelSource = ModelSource()
    """Where it came from."""
    seed: int
    """Seed that they were drawn with."""


def encoder_fingerprint(files: Mapping[str, FileRecord]) -> str:
    """SHA-256 over the checksums of an encoder's files, those below `codec/` and `model/`."""
    parts = sorted(name for name in files if name.startswith(("codec/", "model/")))
    return hashlib.sha256("".join(f"{name} {files[name].sha256}\n" for name in parts).encode()).hexdigest()


class Manifest(_Part):
    """The content of `manifest.json`."""

    format: Literal[1] = FORMAT
    """Layout of the bundle."""
    version: str
    """Name of the bundle: its UTC time and the first digits of its content's hash; sorts by time."""
    created: datetime
    """UTC time of publication."""
    rows: int = Field(ge=1)
    """Number of items, in the table and in the index."""
    dimension: int = Field(ge=1)
    """Entries of an embedding."""
    metric: Literal["cosine"] = "cosine"
    """The index compares L2-normalised vectors by inner product; the table holds the raw latent means."""
    zero_vectors: int = Field(ge=0)
    """Items whose embedding is all zero: they score 0 with everything."""
    features: FeatureSchema = Field(alias="schema")
    """Roles of the table's columns."""
    schema_fingerprint: str
    """Fingerprint of the schema."""
    codec_fingerprint: str
    """Fingerprint of the codec in `codec/`."""
    model: ModelSource = ModelSource()
    """Where the encoder came from."""
    index: IndexSettings
    """How the index was built."""
    recall: MeasuredRecall
    """What the index finds, measured."""
    seed: int
    """Seed of the index and of the samples."""
    config: dict[str, Any] | None = None
    """Summary of the run's configuration."""
    quality: dict[str, float | None] | None = None
    """Metrics of the encoder; null where one is not a number."""
    towers: PublishedTowers | None = None
    """What recommends items to users; None in a bundle of items alone."""
    space: str | None = None
    """Version of the bundle that began this space: bundles of one space have comparable vectors."""
    alignment: Alignment | None = None
    """How a new encoder's space lies on the earlier one; None where there was nothing to align to."""
    refreshed: Refreshed | None = None
    """The bundle that this one brought up to date; None where every item was encoded."""
    samples: PublishedSamples | None = None
    """Synthetic items in `samples/`."""
    files: dict[str, FileRecord]
    """Every other file of the bundle by its path."""

    @property
    def encoder_fingerprint(self) -> str:
        """Fingerprint of the bundle's item encoder."""
        return encoder_fingerprint(self.files)

    def to_json(self) -> bytes:
        """The file's content, ending in its own checksum.

        `checksum` is the SHA-256 of the file as it stands with the checksum's digits replaced by zeros: no
        byte of the manifest can change unseen either. Parts that a bundle does not have are not named.
        """
        content = json.loads(self.model_dump_json(by_alias=True)) | {"checksum": _BLANK}
        for part in _OPTIONAL:
            if content[part] is None:
                del content[part]
        blank = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        return _replace_last(blank, _BLANK, hashlib.sha256(blank).hexdigest())

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and check a manifest.

        Raises:
            BundleError: the file is absent, altered, or of a format this version does not know.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot read the manifest: {error.strerror}") from None
        try:
            content = json.loads(data)
            checksum = str(content.pop("checksum"))
            stated = content["format"]
        except (ValueError, AttributeError, KeyError, TypeError):
            raise BundleError(f"{path}: not a bundle manifest: damaged, or without a checksum") from None
        if stated != FORMAT:
            raise BundleError(f"{path}: bundle format {stated!r}, this version reads {FORMAT}; publish again")
        found = hashlib.sha256(_replace_last(data, checksum, _BLANK)).hexdigest()
        if found != checksum:
            raise BundleError(f"{path}: altered: its content has SHA-256 {found}, it states {checksum}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BundleError(f"{path}: {where}: {first['msg']}, found {first['input']!r}") from None


def _replace_last(data: bytes, old: str, new: str) -> bytes:
    head, _, tail = data.rpartition(old.encode())
    return head + new.encode() + tail
