from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_bundles import SCHEMA, make_table

from streamrec.errors import BundleError
from streamrec.retrieval.content_hash import content_hashes
from streamrec.retrieval.embeddings import EmbeddingsWriter, check_ids, stream_vectors

TABLE = make_table(100)


def write(path: Path, latents: np.ndarray, log_variances: np.ndarray | None = None) -> EmbeddingsWriter:
    with EmbeddingsWriter(path, SCHEMA, "0123456789abcdef") as writer:
        start = 0
        for batch in TABLE.to_batches(max_chunksize=40):
            rows = slice(start, start + batch.num_rows)
            writer.write(batch, latents[rows], None if log_variances is None else log_variances[rows])
            start += batch.num_rows
    return writer


@pytest.fixture
def latents() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)


def test_latents_and_features_come_back_as_they_went_in(latents: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "embeddings.parquet"
    latents[[3, 50]] = 0
    writer = write(path, latents, -latents)
    assert (writer.rows, writer.zero_vectors) == (100, 2)
    table = pq.read_table(path)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 5)
    assert np.array_equal(np.stack(table["embedding"].to_pylist()).astype(np.float32), latents)
    assert np.array_equal(np.stack(table["log_variance"].to_pylist()).astype(np.float32), -latents)
    features = list(SCHEMA.columns)
    assert table.column_names == [*features, "embedding", "log_variance", "content_hash"]
    assert table.select(features).to_pylist() == TABLE.select(features).to_pylist()
    assert table["content_hash"].to_pylist() == content_hashes(TABLE, SCHEMA).tolist()
    assert table.schema.metadata[b"streamrec.content_hash"] == b"blake2b-splitmix64-1"


def test_vectors_stream_in_row_order_one_batch_at_a_time(latents: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "embeddings.parquet", latents)
    parts = list(stream_vectors(tmp_path / "embeddings.parquet"))
    assert [len(part) for part in parts] == [40, 40, 20]
    assert np.array_equal(np.concatenate(parts), latents)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_latent_that_is_not_finite_names_its_item(
    value: float, latents: np.ndarray, tmp_path: Path
) -> None:
    broken = latents.copy()
    broken[77, 2] = value
    with pytest.raises(BundleError, match=r"item 'item-0077' \(row 77\): embedding is not finite"):
        write(tmp_path / "embeddings.parquet", broken)
    with pytest.raises(BundleError, match=r"item 'item-0077' \(row 77\): log_variance is not finite"):
        write(tmp_path / "embeddings.parquet", latents, broken)


@pytest.mark.parametrize("name", ["embedding", "log_variance", "content_hash"])
def test_a_column_with_the_name_of_ours_is_refused(name: str, tmp_path: Path) -> None:
    schema = SCHEMA.model_copy(update={"display": (name,)})
    with pytest.raises(BundleError, match=f"column '{name}': .*rename"):
        EmbeddingsWriter(tmp_path / "embeddings.parquet", schema, "")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "'id' 'a' is there more than once"),
        ([1, 2, 2], "'id' 2 is there more than once"),
        (["a", None, "b"], "1 rows without 'id'"),
        ([None, None], "2 rows without 'id'"),
    ],
)
def test_ids_that_do_not_name_one_row_each_are_refused(ids: list, message: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ids}), tmp_path / "table.parquet")
    with pytest.raises(BundleError, match=message):
        check_ids(tmp_path / "table.parquet", "id")
