"""`publish_samples`: a bundle's items once more, with synthetic items drawn by an augmenter beside them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import EMBEDDING
from streamrec.retrieval.manifest import ModelSource, PublishedSamples
from streamrec.retrieval.republish import republish
from streamrec.retrieval.verify import BundleReader

SAMPLES = "samples"
"""Folder of the samples in a bundle."""
TABLE = "samples.parquet"


def publish_samples(
    root: Path,
    bundle: Bundle,
    samples: pa.Table,
    vectors: np.ndarray,
    family: str,
    model: ModelSource,
    seed: int,
    keep: int = 3,
    *,
    created: datetime | None = None,
) -> Bundle:
    """Publish the items of the current bundle under `root` together with synthetic rows and their embeddings.

    The bundle with samples takes the place of the one without: a rollback goes back to other items, never to
    the same ones. Samples are not among the items: no search finds them.

    Args:
        root: folder of bundles.
        bundle: the bundle whose encoder made the vectors; it must still be current.
        samples: (n,) rows with the schema's feature columns.
        vectors: (n, d) float32, their embeddings.
        family: the augmenter that drew them.
        model: name, version and run of the augmenter.
        seed: they were drawn with.
        keep: bundles kept, this one included.
        created: time of publication, with a time zone; now, by default.

    Returns:
        The new bundle, opened and verified.

    Raises:
        BundleError: there are none; a column is missing; a vector is not finite or of another width than the
            bundle's; another bundle became current meanwhile; the disk refuses. The old bundle stays current.
    """
    table = _table(bundle, samples, vectors)

    def write(folder: Path) -> None:
        folder.mkdir()
        pq.write_table(table, folder / TABLE, compression="zstd")

    published = PublishedSamples(rows=len(table), family=family, model=model, seed=seed)
    changes = {"samples": published}
    return republish(root, bundle, SAMPLES, write, changes, keep, created, replaces=True)


def read_samples(bundle: Bundle) -> pa.Table:
    """The synthetic rows of an open bundle: feature columns and `embedding`, fixed-size lists of float32.

    Raises:
        BundleError: it has none; the file is gone, altered, or does not fit the manifest.
    """
    stated = bundle.manifest.samples
    if stated is None:
        raise BundleError(f"{bundle.path}: has no samples; publish some with the run's augmenters")
    table = BundleReader(bundle.path, bundle.manifest).table(f"{SAMPLES}/{TABLE}")
    width = table.schema.field(EMBEDDING).type.list_size if EMBEDDING in table.column_names else None
    if (len(table), width) != (stated.rows, bundle.manifest.dimension):
        raise BundleError(
            f"{bundle.path / SAMPLES / TABLE}: {len(table)} rows with vectors of {width} numbers, the "
            f"manifest says {stated.rows} with {bundle.manifest.dimension}; publish the samples again"
        )
    return table


def _table(bundle: Bundle, samples: pa.Table, vectors: np.ndarray) -> pa.Table:
    manifest = bundle.manifest
    expected = (len(samples), manifest.dimension)
    if not len(samples):
        raise BundleError("samples: found none, expected at least one row")
    if vectors.shape != expected or vectors.dtype != np.float32:
        raise BundleError(
            f"samples: vectors are {vectors.dtype} of shape {vectors.shape}, expected float32 of {expected}"
        )
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise BundleError(f"samples: the vector of row {broken[0]} is not finite; train the augmenter again")
    missing = [name for name in manifest.features.feature_columns if name not in samples.column_names]
    if missing:
        raise BundleError(f"samples: no column '{missing[0]}', expected every feature column of the schema")
    columns = {name: samples[name] for name in manifest.features.feature_columns}
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    return pa.table(columns | {EMBEDDING: pa.FixedSizeListArray.from_arrays(flat, manifest.dimension)})
