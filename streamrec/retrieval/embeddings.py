"""`embeddings.parquet`: item ids and features, latents, hashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamrec.errors import BundleError
from streamrec.retrieval.arrow import to_numpy
from streamrec.retrieval.content_hash import CONTENT_HASH, RECIPE, RECIPE_KEY, Hashes, content_hashes
from streamrec.schema import FeatureSchema

EMBEDDING = "embedding"
"""Column of the latent means, not normalised: fixed-size lists of d float32."""
LOG_VARIANCE = "log_variance"
"""Column of the latents' log-variances, where they are published."""
SCHEMA_KEY = b"streamrec.schema_fingerprint"
CODEC_KEY = b"streamrec.codec_fingerprint"


def published_columns(schema: FeatureSchema) -> list[str]:
    """Columns that neighbours are filtered and shown by, id first: all but the numeric ones.

    Numbers are in the table too: towers learn from them.
    """
    return [name for name in schema.columns if name not in schema.numeric]


def to_matrix(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column of fixed-size lists as an array (n, d)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return to_numpy(array.flatten()).reshape(len(array), array.type.list_size)


def stream_vectors(path: Path) -> Iterator[np.ndarray]:
    """The embeddings, one row group at a time: float32 arrays (rows, d)."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield to_matrix(file.read_row_group(group, columns=[EMBEDDING])[EMBEDDING])


def read_vectors(path: Path, column: str = EMBEDDING) -> np.ndarray:
    """All embeddings, or log-variances, of a table: (n, d) float32."""
    return to_matrix(pq.read_table(path, columns=[column])[column])


class EmbeddingsWriter:
    """Writes the table batch by batch, a row group each; a context manager."""

    def __init__(self, path: Path, schema: FeatureSchema, codec_fingerprint: str) -> None:
        """Refuse a schema whose columns would be overwritten.

        Raises:
            BundleError: a published column is called `embedding`, `log_variance` or `content_hash`.
        """
        for name in (EMBEDDING, LOG_VARIANCE, CONTENT_HASH):
            if name in schema.columns:
                raise BundleError(f"column '{name}': the bundle has its own column of this name; rename it")
        self._path = path
        self._schema = schema
        self._metadata = {
            SCHEMA_KEY: schema.fingerprint.encode(),
            CODEC_KEY: codec_fingerprint.encode(),
            RECIPE_KEY: RECIPE.encode(),
        }
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0
        self.zero_vectors = 0

    def write(
        self,
        batch: pa.RecordBatch,
        means: np.ndarray,
        log_variances: np.ndarray | None = None,
        hashes: Hashes | None = None,
    ) -> None:
        """Append items with their latents, float32 arrays (rows, d), and their content hashes (rows,).

        Hashes that are not given are computed.

        Raises:
            BundleError: a latent is not finite; the message names the item.
        """
        added = {EMBEDDING: means} | ({} if log_variances is None else {LOG_VARIANCE: log_variances})
        items = batch.select(list(self._schema.columns))
        for name, values in added.items():
            self._check_finite(items, name, values)
        columns = dict(zip(items.schema.names, items.columns, strict=True))
        columns |= {name: _to_column(values) for name, values in added.items()}
        if hashes is None:
            hashes = content_hashes(batch, self._schema)
        table = pa.table(columns | {CONTENT_HASH: pa.array(hashes)})
        table = table.replace_schema_metadata(self._metadata)
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table, row_group_size=max(1, len(table)))
        self.rows += len(table)
        self.zero_vectors += int((~means.any(axis=1)).sum())

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        vectors = [name for name in (EMBEDDING, LOG_VARIANCE) if name in schema.names]
        features = published_columns(self._schema)
        # Floats of a latent and hashes neither repeat nor compress: a dictionary and a codec only cost time.
        return pq.ParquetWriter(
            self._path,
            schema,
            use_dictionary=[path for name in features for path in (name, f"{name}.list.element")],
            compression={f"{name}.list.element": "none" for name in vectors}
            | {CONTENT_HASH: "none"}
            | {path: "zstd" for name in features for path in (name, f"{name}.list.element")},
        )

    def _check_finite(self, items: pa.RecordBatch, name: str, values: np.ndarray) -> None:
        broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(broken):
            item = items.column(self._schema.item_id)[int(broken[0])].as_py()
            raise BundleError(
                f"item {item!r} (row {self.rows + int(broken[0])}): {name} is not finite, "
                "expected finite numbers; nothing was published; train the model again"
            )

    def __enter__(self) -> EmbeddingsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def check_ids(path: Path, column: str) -> None:
    """Refuse a table whose ids do not name its rows: the index would hide one of two equal ids.

    Raises:
        BundleError: an id is missing or there twice; the message names it.
    """
    ids = pq.read_table(path, columns=[column])[column]
    if ids.null_count:
        raise BundleError(f"item table: {ids.null_count} rows without '{column}'; give every item an id")
    if pc.count_distinct(ids).as_py() < len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
        raise BundleError(f"item table: '{column}' {twice!r} is there more than once; ids must be unique")


def _to_column(values: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
