from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_bundles import CREATED, SCHEMA, PlainEncoder, make_catalog, make_table, publish_small

from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import ModelSource


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return make_catalog(tmp_path / "items.parquet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "published"


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_bundle_holds_every_item_and_its_latent(catalog: Catalog, root: Path) -> None:
    bundle = publish_small(root, catalog)
    table = pq.read_table(bundle.path / "embeddings.parquet")
    latents = PlainEncoder().encode(make_table().combine_chunks().to_batches()[0])
    assert table["id"].to_pylist() == make_table()["id"].to_pylist()
    np.testing.assert_array_equal(np.stack(table["embedding"].to_pylist()).astype(np.float32), latents)
    assert sorted(contents(bundle.path)) == [
        "codec/codec.json",
        "codec/codec.npz",
        "embeddings.parquet",
        "items.faiss",
        "manifest.json",
        "model/model.json",
        "model/weights.safetensors",
    ]


def test_the_manifest_says_what_was_given_and_what_was_measured(
    catalog: Catalog, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "reference.json").write_text("{}")
    manifest = publish_small(
        root,
        catalog,
        index="ivf",
        min_recall=0.9,
        log_variance=True,
        model=ModelSource(name="encoder", version="3", run_id="abc"),
        profile=tmp_path / "reference.json",
        summary={"latent_dim": 4},
        quality={"recall": 0.25},
        created=CREATED,
    ).manifest
    assert manifest.version.startswith("20260102T030405.000000Z-")
    assert (manifest.rows, manifest.dimension, manifest.seed) == (200, 4, 3)
    assert manifest.model == ModelSource(name="encoder", version="3", run_id="abc")
    assert (manifest.config, manifest.quality) == ({"latent_dim": 4}, {"recall": 0.25})
    assert manifest.schema_fingerprint == SCHEMA.fingerprint
    assert manifest.codec_fingerprint == PlainEncoder().codec_fingerprint
    assert (manifest.index.kind, manifest.index.lists) == ("ivf", 5)
    assert 0.9 <= manifest.recall.value <= 1
    assert (manifest.recall.k, manifest.recall.queries) == (10, 200)
    assert "profile.json" in manifest.files


def test_log_variances_are_published_when_asked_for(catalog: Catalog, root: Path) -> None:
    for wanted in (False, True):
        bundle = publish_small(root, catalog, log_variance=wanted)
        names = pq.read_schema(bundle.path / "embeddings.parquet").names
        assert ("log_variance" in names) is wanted


@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_the_same_items_and_seed_give_the_same_bytes(catalog: Catalog, tmp_path: Path, index: str) -> None:
    first, second = (
        publish_small(tmp_path / name, catalog, index=index, created=CREATED) for name in ("one", "two")
    )
    assert first.path.name == second.path.name
    assert contents(first.path) == contents(second.path)


def test_versions_sort_by_time_and_tell_contents_apart(catalog: Catalog, root: Path) -> None:
    later = CREATED + timedelta(microseconds=1)
    elsewhere = later.astimezone(timezone(timedelta(hours=9)))
    first, second = (publish_small(root, catalog, created=time).manifest for time in (CREATED, elsewhere))
    assert first.version < second.version
    assert first.version[-8:] == second.version[-8:]
    third = publish_small(root, catalog, PlainEncoder(shift=1.0), created=later).manifest
    assert third.version[:-8] == second.version[:-8]
    assert third.version[-8:] != second.version[-8:]


def test_a_version_that_is_there_is_not_overwritten(catalog: Catalog, root: Path) -> None:
    bundle = publish_small(root, catalog, created=CREATED)
    with pytest.raises(BundleError, match="published already"):
        publish_small(root, catalog, created=CREATED)
    assert Bundle.open(root).path == bundle.path


def test_the_newest_bundles_are_kept_and_nothing_else_is_touched(catalog: Catalog, root: Path) -> None:
    (root / "notes").mkdir(parents=True)
    (root / "20260101T000000.txt").write_text("mine")
    versions = [
        publish_small(root, catalog, keep=2, created=CREATED + timedelta(days=day)).manifest.version
        for day in range(4)
    ]
    expected = {"notes", "20260101T000000.txt", ".lock", "current", *versions[2:]}
    assert {path.name for path in root.iterdir()} == expected
    assert Bundle.open(root).manifest.version == versions[3]


def test_a_bundle_made_current_is_kept_even_where_the_clock_went_back(catalog: Catalog, root: Path) -> None:
    for day in (5, 6, 7, 1):
        publish_small(root, catalog, keep=2, created=CREATED + timedelta(days=day))
    kept = sorted(path.name[:8] for path in root.iterdir() if path.name.startswith("2026"))
    assert kept == ["20260103", "20260109"]
    assert Bundle.open(root).manifest.created == CREATED + timedelta(days=1)


def test_time_is_reported_by_stage_and_rows_as_they_are_encoded(catalog: Catalog, root: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    bundle = publish_small(root, catalog, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 200), (128, 200), (192, 200), (200, 200)]
    assert {"encode", "parquet", "index", "recall", "checksums", "verify"} <= set(bundle.seconds)
    assert min(bundle.seconds.values()) >= 0
    assert Bundle.open(root).seconds == {}


class BrokenEncoder(PlainEncoder):
    """Gives what `change` makes of the latents."""

    change: Any = staticmethod(lambda latents: latents)

    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        return self.change(super().encode(rows))


def with_nan(latents: np.ndarray) -> np.ndarray:
    latents[-1, 0] = np.nan
    return latents


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, r"item 'item-0063' \(row 63\): embedding is not finite"),
        (lambda latents: latents[:-1], r"float32 of shape \(63, 4\), expected float32 of shape \(64, 4\)"),
        (lambda latents: latents[:, :3], r"shape \(64, 3\), expected float32 of shape \(64, 4\)"),
        (lambda latents: latents.astype(np.float64), r"gave float64"),
    ],
)
def test_embeddings_that_cannot_be_published_leave_the_old_bundle_alone(
    change: Any, message: str, catalog: Catalog, root: Path
) -> None:
    old = publish_small(root, catalog)
    before = contents(root)
    encoder = BrokenEncoder()
    encoder.change = change
    with pytest.raises(BundleError, match=message):
        publish_small(root, catalog, encoder)
    assert contents(root) == before
    assert Bundle.open(root).path == old.path


def test_an_encoder_of_another_schema_is_refused(catalog: Catalog, root: Path) -> None:
    other = SCHEMA.model_copy(update={"numeric": ("a", "b")})
    with pytest.raises(BundleError, match=f"{SCHEMA.fingerprint}, the encoder's is {other.fingerprint}"):
        publish_small(root, catalog, PlainEncoder(schema=other))
    assert not root.exists()


def test_a_table_without_rows_or_with_an_id_twice_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(BundleError, match="no rows"):
        publish_small(root, make_catalog(tmp_path / "none.parquet", make_table(200).slice(0, 0)))
    twice = pa.concat_tables([make_table(200), make_table(3)])
    with pytest.raises(BundleError, match=r"'id' 'item-000[012]' is there more than once"):
        publish_small(root, make_catalog(tmp_path / "twice.parquet", twice))
    assert {path.name for path in root.iterdir()} == {".lock"}


def test_one_item_is_a_bundle(tmp_path: Path, root: Path) -> None:
    bundle = publish_small(root, make_catalog(tmp_path / "one.parquet", make_table(1)))
    assert (bundle.manifest.recall.k, bundle.manifest.recall.value) == (0, 1.0)
    assert len(bundle.neighbours("item-0000")) == 0


def test_a_disk_that_refuses_is_an_error_that_names_the_folder(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=f"{tmp_path / 'file'}: cannot publish: "):
        publish_small(tmp_path / "file", catalog)


def test_an_interrupted_publisher_cleans_up_after_itself(catalog: Catalog, root: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_small(root, catalog, progress=interrupt)
    assert {path.name for path in root.iterdir()} == {".lock"}


def test_the_table_is_never_held_whole(tmp_path: Path, root: Path) -> None:
    """Batches are asked for one by one: each is written before the next is read."""
    catalog = make_catalog(tmp_path / "items.parquet")
    events: list[str] = []

    class Watched(type(catalog)):  # type: ignore[misc]
        def batches(self, columns: Any = None, batch_rows: int = 64) -> Iterator[pa.RecordBatch]:
            for batch in super().batches(columns, batch_rows):
                events.append("read")
                yield batch

    publish_small(
        root, Watched(catalog.path, catalog.schema), progress=lambda done, total: events.append("written")
    )
    assert events == ["read", "written"] * 4


def test_now_is_the_time_of_publication(catalog: Catalog, root: Path) -> None:
    before = datetime.now(UTC)
    created = publish_small(root, catalog).manifest.created
    assert before <= created <= datetime.now(UTC)


def test_a_bundle_begins_a_space_or_goes_on_with_the_current_one(catalog: Catalog, root: Path) -> None:
    first = publish_small(root, catalog).manifest
    assert first.space == first.version
    bundles = [publish_small(root, catalog, PlainEncoder(shift=shift), space=first.space) for shift in (1, 2)]
    assert [bundle.manifest.space for bundle in bundles] == [first.version] * 2
    other = publish_small(root, catalog, space="of a bundle that is not current").manifest
    assert other.space == other.version
    # What the space began with is carried on, whatever encoders come after.
    for bundle in bundles:
        anchors = pq.read_table(bundle.path / "space" / "anchors.parquet")
        latents = PlainEncoder().encode(make_table().combine_chunks().to_batches()[0])
        np.testing.assert_array_equal(np.stack(anchors["embedding"].to_pylist()).astype(np.float32), latents)
