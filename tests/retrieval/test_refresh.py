"""A refreshed bundle is that of a full publication by the same encoder, at the price of the changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from small_bundles import SCHEMA, PlainEncoder, SmallBatches, make_catalog, make_table, publish_small

from streamrec.catalog.table import Catalog
from streamrec.config import PublishConfig
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import Alignment, ModelSource
from streamrec.retrieval.refresh import compare, refresh

ROWS = 150
EVERYTHING = make_table(220)
BASE = EVERYTHING[:ROWS]


class CountingEncoder(PlainEncoder):
    """Counts the items that it encodes."""

    encoded = 0

    def encode(self, rows: pa.RecordBatch) -> np.ndarray:
        self.encoded += rows.num_rows
        return super().encode(rows)


def with_numbers(table: pa.Table, rows: list[int], by: float = 1.0) -> pa.Table:
    numbers = table["b"].to_numpy().copy()
    numbers[rows] += by
    return table.set_column(table.column_names.index("b"), "b", pa.array(numbers))


def edited(removed: list[int], changed: list[int], added: int, order: int | None) -> pa.Table:
    """The base without some rows, with other numbers in some, with new rows, in another order."""
    table = with_numbers(BASE, changed)
    kept = np.setdiff1d(np.arange(ROWS), removed)
    table = pa.concat_tables([table.take(pa.array(kept)), EVERYTHING[ROWS : ROWS + added]])
    if order is not None:
        table = table.take(pa.array(np.random.default_rng(order).permutation(len(table))))
    return table


def refreshed(bundle: Bundle, table: pa.Table, encoder: Any = None, **settings: Any) -> Bundle:
    root = bundle.path.parent
    config = {name: settings.pop(name) for name in [*settings] if name in PublishConfig.model_fields}
    catalog = make_catalog(root.parent / "now.parquet", table)
    changes = compare(bundle, catalog, max_removed=1.0)
    encoder = encoder or PlainEncoder()
    return refresh(root, bundle, catalog, changes, PublishConfig(**config), encoder=encoder, **settings)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return publish_small(tmp_path / "published", make_catalog(tmp_path / "items.parquet", BASE))


@given(
    st.lists(st.integers(0, ROWS - 1), max_size=40),
    st.lists(st.integers(0, ROWS - 1), max_size=20),
    st.integers(0, 70),
    st.none() | st.integers(0, 99),
    st.booleans(),
)
@hypothesis_settings(max_examples=12)
def test_it_equals_a_full_publication_by_the_same_encoder(
    tmp_path_factory: pytest.TempPathFactory,
    removed: list[int],
    changed: list[int],
    added: int,
    order: int | None,
    log_variance: bool,
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    before = publish_small(
        folder / "published", make_catalog(folder / "items.parquet", BASE), log_variance=log_variance
    )
    table = edited(removed, changed, added, order)
    now = refreshed(before, table)
    full = publish_small(
        folder / "full", make_catalog(folder / "now.parquet", table), log_variance=log_variance
    )
    for name in ("embeddings.parquet", "items.faiss", "codec/codec.json", "model/weights.safetensors"):
        assert (now.path / name).read_bytes() == (full.path / name).read_bytes(), name
    told = now.manifest.refreshed
    assert told is not None
    surely = set(changed) - set(removed)
    assert (told.source, told.removed) == (before.manifest.version, len(set(removed)))
    assert (told.encoded, told.kept) == (added + len(surely), len(table) - added - len(surely))
    own, other = (
        b.manifest.model_dump(exclude={"version", "created", "space", "refreshed"}) for b in (now, full)
    )
    assert own == other
    assert Bundle.open(now.path.parent).manifest == now.manifest


@given(st.lists(st.integers(0, ROWS - 1), max_size=30), st.integers(0, 70))
@hypothesis_settings(max_examples=5)
def test_an_ivf_index_keeps_its_lists_and_finds_what_it_promises(
    tmp_path_factory: pytest.TempPathFactory, changed: list[int], added: int
) -> None:
    folder = tmp_path_factory.mktemp("ivf")
    catalog = make_catalog(folder / "items.parquet", BASE)
    before = publish_small(folder / "published", catalog, index="ivf", min_recall=0.5)
    now = refreshed(before, edited([], changed, added, None), min_recall=0.95)
    assert (now.manifest.index.kind, now.manifest.index.lists) == ("ivf", before.manifest.index.lists)
    assert now.manifest.recall.value >= 0.95
    assert now.manifest.rows == ROWS + added
    vectors = np.stack(pq.read_table(now.path / "embeddings.parquet")["embedding"].to_pylist())
    assert [found.positions[0] for found in now.search(vectors, 1, where={"adult": [True, False]})] == list(
        range(len(vectors))
    )


def test_only_new_and_changed_items_are_encoded_beside_the_sample(bundle: Bundle) -> None:
    encoder = CountingEncoder()
    refreshed(bundle, edited([3], [10, 11], 5, None), encoder)
    assert encoder.encoded == 2 + 5 + (ROWS - 1 - 2)
    encoder = CountingEncoder()
    now = Bundle.open(bundle.path.parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamrec.retrieval.refresh_items.SAMPLE_ROWS", 20)
        refreshed(now, edited([3], [10, 11], 6, None), encoder)
    assert encoder.encoded == 1 + 20


def test_what_does_not_concern_the_items_is_carried_over(tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text("{}")
    alignment = Alignment(
        reference="an earlier one",
        common_items=90,
        mean_cosine=0.99,
        p05_cosine=0.9,
        relative_residual=0.1,
        comparable=True,
    )
    catalog = make_catalog(tmp_path / "items.parquet", BASE)
    space = publish_small(tmp_path / "published", catalog, PlainEncoder(shift=1)).manifest.version
    bundle = publish_small(
        tmp_path / "published",
        catalog,
        profile=tmp_path / "reference.json",
        model=ModelSource(name="encoder", version="3", run_id="abc"),
        quality={"recall": 0.25},
        alignment=alignment,
        space=space,
    )
    manifest = refreshed(bundle, edited([], [1], 0, None)).manifest
    assert (manifest.space, manifest.alignment, manifest.quality) == (space, alignment, {"recall": 0.25})
    for name in ("profile.json", "space/anchors.parquet"):
        assert manifest.files[name] == bundle.manifest.files[name]
    assert manifest.model == bundle.manifest.model
    assert manifest.encoder_fingerprint == bundle.manifest.encoder_fingerprint


def test_bundles_refreshed_from_one_another_share_a_space(bundle: Bundle) -> None:
    first = refreshed(bundle, edited([], [1], 0, None))
    second = refreshed(first, edited([4], [1, 2], 3, None))
    assert first.manifest.space == second.manifest.space == bundle.manifest.version
    assert second.manifest.refreshed is not None
    assert (second.manifest.refreshed.encoded, second.manifest.refreshed.removed) == (4, 1)


def test_changes_are_counted(bundle: Bundle, tmp_path: Path) -> None:
    changes = compare(bundle, make_catalog(tmp_path / "now.parquet", edited([0, 1], [1, 5], 7, 3)), 0.5)
    assert (changes.new, changes.changed, int(changes.kept.sum()), changes.removed) == (7, 1, ROWS - 3, 2)
    assert not changes.nothing


@pytest.mark.parametrize("order", [None, 4])
def test_the_same_items_in_any_order_are_no_change(bundle: Bundle, tmp_path: Path, order: int | None) -> None:
    catalog = make_catalog(tmp_path / "now.parquet", edited([], [], 0, order))
    assert compare(bundle, catalog, 0.5).nothing


def test_a_new_title_is_a_change(bundle: Bundle) -> None:
    titles = BASE["title"].to_pylist()
    titles[9] = "Renamed"
    now = refreshed(bundle, BASE.set_column(BASE.column_names.index("title"), "title", pa.array(titles)))
    assert now.neighbours("item-0009", 1, exclude_self=False).items["title"][0].as_py() == "Renamed"
    old, new = (pq.read_table(b.path / "embeddings.parquet")["embedding"] for b in (bundle, now))
    assert old.equals(new)


def test_too_many_items_gone_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "now.parquet", edited(list(range(76)), [], 70, None))
    with pytest.raises(BundleError, match=r"76 of the 150 items of bundle .* are gone, expected at most 50%"):
        compare(bundle, catalog, 0.5)
    assert compare(bundle, catalog, 0.51).removed == 76


def test_a_table_that_cannot_be_refreshed_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    other = SCHEMA.model_copy(update={"display": ()})
    catalog = make_catalog(tmp_path / "now.parquet", BASE)
    with pytest.raises(BundleError, match=f"schema fingerprint {other.fingerprint}, .*{SCHEMA.fingerprint}"):
        compare(bundle, Catalog(catalog.path, other), 0.5)
    with pytest.raises(BundleError, match="no rows"):
        compare(bundle, make_catalog(tmp_path / "none.parquet", BASE[:0]), 0.5)
    numbered = BASE.set_column(0, "id", pa.array(np.arange(ROWS)))
    with pytest.raises(BundleError, match="'id' holds int64, the published items' string"):
        compare(bundle, make_catalog(tmp_path / "numbered.parquet", numbered), 0.5)
    twice = pa.concat_tables([BASE, BASE[:1]])
    with pytest.raises(BundleError, match="'item-0000' is there more than once"):
        refreshed(bundle, twice)
    assert Bundle.open(bundle.path.parent).path == bundle.path


def test_an_encoder_that_gives_other_vectors_than_are_published_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"unchanged, but the bundle's encoder gives it another vector"):
        refreshed(bundle, edited([], [1], 0, None), PlainEncoder(shift=1e-6))
    assert Bundle.open(bundle.path.parent).path == bundle.path


def test_vectors_of_unchanged_items_that_were_written_wrongly_are_seen(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamrec.retrieval.embeddings import EmbeddingsWriter

    write = EmbeddingsWriter.write

    def write_wrongly(self: Any, batch: Any, means: np.ndarray, *rest: Any) -> None:
        means[3, 1] = np.nextafter(means[3, 1], np.float32(9))
        write(self, batch, means, *rest)

    monkeypatch.setattr(EmbeddingsWriter, "write", write_wrongly)
    with pytest.raises(BundleError, match="unchanged items have another embedding"):
        refreshed(bundle, edited([], [100], 0, None))
    assert Bundle.open(bundle.path.parent).path == bundle.path


@pytest.mark.parametrize("name", ["items.faiss", "model/weights.safetensors", "codec/codec.npz"])
def test_a_bundle_whose_files_were_altered_is_not_built_upon(bundle: Bundle, name: str) -> None:
    (bundle.path / name).write_bytes((bundle.path / name).read_bytes() + b" ")
    with pytest.raises(BundleError, match="altered since the bundle was opened"):
        refreshed(bundle, edited([], [1], 0, None))


def test_a_bundle_that_is_no_longer_current_is_not_refreshed(bundle: Bundle, tmp_path: Path) -> None:
    newer = publish_small(bundle.path.parent, SmallBatches(tmp_path / "items.parquet", SCHEMA))
    with pytest.raises(BundleError, match="became current meanwhile"):
        refreshed(bundle, edited([], [1], 0, None))
    assert Bundle.open(bundle.path.parent).path == newer.path


def test_a_bundle_without_hashes_is_named(bundle: Bundle, tmp_path: Path) -> None:
    table = pq.read_table(bundle.path / "embeddings.parquet").drop_columns("content_hash")
    pq.write_table(table, bundle.path / "embeddings.parquet")
    with pytest.raises(BundleError, match="without content hashes"):
        compare(bundle, make_catalog(tmp_path / "now.parquet", BASE), 0.5)
