"""Digests of what a run finds: tables of the user, and the items of a bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import pyarrow as pa

from streamrec.catalog.formats import Format
from streamrec.catalog.locate import locate
from streamrec.files import checksum
from streamrec.retrieval.manifest import EMBEDDINGS, Manifest
from streamrec.stages.stage import digest


def source_digest(path: str, format: Literal["auto"] | Format = "auto") -> str | None:
    """Digest of the names and contents of a table's files; None for a URL, whose content is not read for it.

    The folder that the table lies in does not matter.

    Raises:
        CatalogError: nothing there, or no ending that tells the format.
    """
    if "://" in path or "::" in path:
        return None
    label, kind, parts = locate(path, format)
    files = [(part.file.label.removeprefix(label) or Path(label).name, part.file.label) for part in parts]
    return digest([kind, *((name, checksum(Path(file).expanduser())) for name, file in files)])


def ids_digest(ids: pa.ChunkedArray) -> str:
    """Digest of ids (n,) in their order."""
    batch = pa.record_batch([ids.combine_chunks()], names=["id"])
    return hashlib.sha256(batch.serialize()).hexdigest()


def items_digest(manifest: Manifest) -> str:
    """Digest of all that towers are fitted to of a bundle: its table of items, and its encoder."""
    return digest([manifest.files[EMBEDDINGS].sha256, manifest.encoder_fingerprint])
