"""Synthetic items beside the real ones: they come back, they replace, they stay out of every search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_bundles import PlainEncoder, make_catalog, make_table, publish_small, sign_again
from small_towers import make_towers

from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.embeddings import EMBEDDING, to_matrix
from streamrec.retrieval.manifest import ModelSource
from streamrec.retrieval.publish_samples import SAMPLES, TABLE, publish_samples, read_samples
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.releases import Releases

MODEL = ModelSource(name="augmenter", version="7", run_id="run")
ROWS = make_table(30, seed=8).drop_columns(["id", "added", "title"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish_small(tmp_path / "published", make_catalog(tmp_path / "items.parquet"))
    return tmp_path / "published"


def add(root: Path, rows: pa.Table = ROWS, vectors: np.ndarray | None = None, **settings: Any) -> Bundle:
    bundle = Bundle.open(root)
    if vectors is None:
        vectors = PlainEncoder().encode(rows.combine_chunks().to_batches()[0])
    return publish_samples(root, bundle, rows, vectors, "flow", MODEL, 3, **settings)


def test_samples_come_back_with_their_source(root: Path) -> None:
    bundle = add(root)
    again = Bundle.open(root)
    assert again.manifest == bundle.manifest
    stated = again.manifest.samples
    assert stated is not None
    assert (stated.rows, stated.family, stated.model, stated.seed) == (30, "flow", MODEL, 3)
    table = read_samples(again)
    assert table.column_names == ["genre", "year", "adult", "tags", "a", "b", "c", EMBEDDING]
    assert table.select(["genre", "tags", "b"]).equals(ROWS.select(["genre", "tags", "b"]))
    expected = PlainEncoder().encode(ROWS.combine_chunks().to_batches()[0])
    np.testing.assert_array_equal(to_matrix(table[EMBEDDING]), expected)


def test_no_search_finds_a_sample(root: Path) -> None:
    before = Bundle.open(root)
    after = add(root)
    assert after.manifest.rows == before.manifest.rows
    vector = to_matrix(read_samples(after)[EMBEDDING])[0]
    assert after.search(vector, 1_000)[0].ids == before.search(vector, 1_000)[0].ids


def test_samples_and_towers_are_published_beside_each_other_in_any_order(root: Path, tmp_path: Path) -> None:
    make_towers(tmp_path / "towers", Bundle.open(root))
    with_samples = add(root)
    with_both = publish_towers(root, with_samples, tmp_path / "towers")
    assert with_both.manifest.samples == with_samples.manifest.samples
    replaced = add(root, ROWS.slice(0, 12))
    assert replaced.manifest.towers == with_both.manifest.towers
    assert len(read_samples(replaced)) == 12
    assert replaced.recommender.for_user("user-007", 3).ids


def test_a_new_publication_of_items_has_no_samples(root: Path, tmp_path: Path) -> None:
    add(root)
    bundle = publish_small(root, make_catalog(tmp_path / "items.parquet"))
    assert bundle.manifest.samples is None
    with pytest.raises(BundleError, match="has no samples"):
        read_samples(bundle)


@pytest.mark.parametrize(
    ("rows", "vectors", "message"),
    [
        (ROWS.slice(0, 0), np.empty((0, 4), np.float32), "samples: found none"),
        (ROWS, np.zeros((30, 9), np.float32), r"shape \(30, 9\), expected float32 of \(30, "),
        (ROWS.drop_columns(["year"]), None, "samples: no column 'year'"),
    ],
)
def test_what_is_no_sample_is_refused(
    root: Path, rows: pa.Table, vectors: np.ndarray | None, message: str
) -> None:
    current = Bundle.open(root).manifest.version
    with pytest.raises(BundleError, match=message):
        add(root, rows, vectors)
    assert Bundle.open(root).manifest.version == current


def test_a_vector_that_is_not_finite_is_named(root: Path) -> None:
    vectors = PlainEncoder().encode(ROWS.combine_chunks().to_batches()[0])
    vectors[17, 0] = np.inf
    with pytest.raises(BundleError, match="the vector of row 17 is not finite"):
        add(root, vectors=vectors)


def test_samples_of_a_bundle_that_is_no_longer_current_are_refused(root: Path, tmp_path: Path) -> None:
    old = Bundle.open(root)
    publish_small(root, make_catalog(tmp_path / "items.parquet"))
    vectors = PlainEncoder().encode(ROWS.combine_chunks().to_batches()[0])
    with pytest.raises(BundleError, match="became current meanwhile"):
        publish_samples(root, old, ROWS, vectors, "flow", MODEL, 3)


def test_an_altered_file_is_refused_by_readers_and_by_open(root: Path) -> None:
    bundle = add(root)
    path = bundle.path / SAMPLES / TABLE
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleError, match="SHA-256"):
        read_samples(bundle)
    with pytest.raises(BundleError, match="SHA-256"):
        Bundle.open(root)


def test_a_table_of_other_rows_than_the_manifest_says_is_refused(root: Path) -> None:
    bundle = add(root)
    stated = bundle.manifest.samples
    assert stated is not None
    sign_again(bundle.path, samples=stated.model_dump() | {"rows": 31})
    with pytest.raises(BundleError, match="30 rows with vectors of"):
        read_samples(Bundle.open(root))


def test_a_bundle_with_samples_takes_the_place_of_the_one_without(root: Path, tmp_path: Path) -> None:
    before = Bundle.open(root).manifest.version
    publish_small(root, make_catalog(tmp_path / "items.parquet"))
    bundle = add(root)
    assert Releases(root).versions == [before, bundle.manifest.version]
