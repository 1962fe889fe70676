from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog.column_profiles import EDGE_ROWS, NAMED, CategoryProfile, NumericProfile
from streamrec.catalog.profile import (
    Cell,
    Profile,
    compare_cells,
    kl_divergence,
    kl_divergences,
    unseen_share,
)
from streamrec.catalog.table import Catalog
from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema

HUGE = 10**12
NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf]), st.floats(width=64))


def catalog_of(folder: Path, **columns: pa.Array) -> Catalog:
    table = pa.table({"item_id": pa.array(range(len(next(iter(columns.values()))))), **columns})
    path = folder / "items.parquet"
    pq.write_table(table, path)
    kinds = {name: table.schema.field(name).type for name in columns}
    return Catalog(
        path,
        FeatureSchema.model_validate(
            {
                "item_id": "item_id",
                "categorical": [n for n, kind in kinds.items() if pa.types.is_string(kind)],
                "multi_label": [n for n, kind in kinds.items() if pa.types.is_list(kind)],
                "numeric": [n for n, kind in kinds.items() if pa.types.is_primitive(kind)],
            }
        ),
    )


def numeric(values: object, like: NumericProfile | None = None) -> NumericProfile:
    return NumericProfile.of(pa.chunked_array([pa.array(values, pa.float64())]), like, seed=0)


def categories(values: list[str | None], named: tuple[str, ...] = ()) -> CategoryProfile:
    return CategoryProfile.of(pa.chunked_array([pa.array(values, pa.string())]), "category", named)


def cells(current: list[int], reference: list[int]) -> list[Cell]:
    return [Cell(str(i), *pair) for i, pair in enumerate(zip(current, reference, strict=True))]


def test_divergence_of_large_counts_is_the_closed_form() -> None:
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert kl_divergence(cells([HUGE, HUGE], [HUGE, 3 * HUGE])) == pytest.approx(expected, abs=1e-9)


def test_divergence_of_small_counts_is_the_documented_smoothing() -> None:
    p, q = (4.5 / 5, 0.5 / 5), (1.5 / 5, 3.5 / 5)
    expected = p[0] * math.log(p[0] / q[0]) + p[1] * math.log(p[1] / q[1])
    assert kl_divergence(cells([4, 0], [1, 3])) == pytest.approx(expected)


def test_divergence_is_of_the_current_from_the_reference() -> None:
    one_way, other_way = kl_divergence(cells([99, 1], [50, 50])), kl_divergence(cells([50, 50], [99, 1]))
    assert one_way == pytest.approx(0.616, abs=0.001)
    assert other_way == pytest.approx(1.419, abs=0.001)


def test_divergence_without_current_rows_is_zero() -> None:
    assert kl_divergence(cells([0, 0, 0], [5, 50, 500])) == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=30))
def test_divergence_is_finite_and_never_negative(pairs: list[tuple[int, int]]) -> None:
    value = kl_divergence(cells([a for a, _ in pairs], [b for _, b in pairs]))
    assert 0 <= value < math.inf


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=30))
def test_divergence_from_itself_is_zero(counts: list[int]) -> None:
    assert kl_divergence(cells(counts, counts)) == 0


def test_shifted_normal_diverges_by_almost_half_a_nat() -> None:
    rng = np.random.default_rng(0)
    reference = numeric(rng.normal(size=200_000))
    current = numeric(rng.normal(loc=1, size=200_000), like=reference)
    # Binning can only lose: KL(N(1, 1) || N(0, 1)) = 1/2.
    assert 0.45 < kl_divergence(compare_cells(current, reference)) < 0.5


def test_two_draws_of_one_distribution_hardly_diverge() -> None:
    rng = np.random.default_rng(1)
    reference = numeric(rng.lognormal(size=1_000))
    current = numeric(rng.lognormal(size=1_000), like=reference)
    assert kl_divergence(compare_cells(current, reference)) < 0.06


@given(st.lists(NUMBERS, max_size=60))
def test_every_cell_of_a_number_is_counted_once(values: list[float | None]) -> None:
    profile = numeric(values)
    assert sum(profile.counts) + profile.missing + profile.not_finite == len(values)
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert (profile.minimum, profile.maximum) == ((min(finite), max(finite)) if finite else (None, None))


@given(st.lists(NUMBERS, max_size=60), st.lists(NUMBERS, max_size=60))
def test_each_bin_holds_the_values_between_its_edges(
    values: list[float | None], others: list[float | None]
) -> None:
    reference = numeric(values)
    current = numeric(others, like=reference)
    bounds = [-math.inf, *reference.grid.tolist(), math.inf]
    finite = [value for value in others if value is not None and math.isfinite(value)]
    for low, high, count in zip(bounds, bounds[1:], current.counts, strict=False):
        assert sum(low <= value < high for value in finite) == count


def test_frequent_exact_value_is_a_bin_of_its_own_with_its_exact_count() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(EDGE_ROWS * 2) < 0.3, 0.0, rng.normal(size=EDGE_ROWS * 2))
    profile = numeric(values)
    assert profile.atoms == (0.0,)
    assert profile.counts[profile.grid.tolist().index(0.0) + 1] == np.count_nonzero(values == 0)
    assert profile.bin_names[profile.grid.tolist().index(0.0) + 1] == "= 0"


def test_bins_other_than_atoms_hold_equal_shares() -> None:
    counts = np.array(numeric(np.random.default_rng(3).lognormal(size=50_000)).counts)
    assert len(counts) == 20
    assert abs(counts - 2_500).max() <= 1


def test_categories_beyond_the_named_are_counted_together() -> None:
    values = [f"v{i}" for i in range(NAMED + 50)] + ["v0", None]
    profile = categories(values)
    assert (len(profile.counts), profile.other, profile.missing) == (NAMED, 50, 1)
    assert next(iter(profile.counts.items())) == ("v0", 2)


def test_rare_category_of_the_reference_is_found_among_many_new_ones() -> None:
    reference = categories(["a", "b"])
    current = categories([f"v{i}" for i in range(NAMED) for _ in range(2)] + ["b"], tuple(reference.counts))
    assert current.counts["b"] == 1
    assert unseen_share(current, reference) == pytest.approx(2 * NAMED / (2 * NAMED + 1))


def test_unseen_share_counts_rows_not_values() -> None:
    reference = categories(["a", "b"])
    assert unseen_share(categories(["a", "a", "c", None]), reference) == pytest.approx(1 / 3)


def test_unseen_share_takes_off_what_the_reference_could_not_name() -> None:
    reference = categories([f"v{i}" for i in range(NAMED + NAMED // 4)])
    again = categories([f"v{i}" for i in range(NAMED + NAMED // 4)], tuple(reference.counts))
    assert unseen_share(again, reference) == 0


def test_unseen_categories_do_not_count_as_drift() -> None:
    reference = categories(["a"] * 500 + ["b"] * 500)
    current = categories(["a"] * 500 + ["b"] * 500 + ["new"] * 1_000)
    assert kl_divergence(compare_cells(current, reference)) < 1e-3


def test_missing_cells_count_as_drift() -> None:
    reference = categories(["a"] * 900 + [None] * 100)
    current = categories(["a"] * 100 + [None] * 900)
    assert kl_divergence(compare_cells(current, reference)) > 1


def test_labels_are_counted_by_occurrence_and_empty_lists_apart_from_missing(tmp_path: Path) -> None:
    tags = pa.array([["x", "y"], ["x"], [], None], pa.list_(pa.string()))
    profile = Profile.of(catalog_of(tmp_path, tags=tags)).columns["tags"]
    assert isinstance(profile, CategoryProfile)
    assert (profile.counts, profile.empty, profile.missing) == ({"x": 2, "y": 1}, 1, 1)


@pytest.mark.parametrize("rows", [0, 300])
def test_profile_survives_saving(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(4)
    catalog = catalog_of(
        tmp_path,
        genre=pa.array(rng.choice(["a", "ü", "<b>"], rows).tolist(), pa.string()),
        tags=pa.array([["x"] * (i % 3) for i in range(rows)], pa.list_(pa.string())),
        price=pa.array(rng.normal(size=rows)),
        active=pa.array(rng.random(rows) < 0.5),
        nothing=pa.nulls(rows, pa.float64()),
    )
    profile = Profile.of(catalog)
    profile.save(tmp_path / "profile.json")
    json.loads((tmp_path / "profile.json").read_text(), parse_constant=pytest.fail)
    loaded = Profile.load(tmp_path / "profile.json")
    assert loaded == profile
    assert loaded.rows == rows
    again = Profile.of(catalog, like=loaded)
    assert again == profile
    assert kl_divergences(again, loaded) == dict.fromkeys(catalog.schema.feature_columns, 0.0)


def test_large_table_gets_the_same_bins_for_the_same_seed(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, price=pa.array(np.random.default_rng(5).normal(size=EDGE_ROWS + 50_000)))
    assert Profile.of(catalog, seed=7) == Profile.of(catalog, seed=7)
    assert Profile.of(catalog, seed=7) != Profile.of(catalog, seed=8)


def test_profiles_in_different_bins_are_refused() -> None:
    one, other = numeric([1.0, 2.0, 3.0]), numeric([4.0, 5.0, 6.0])
    with pytest.raises(CatalogError, match="like=reference"):
        compare_cells(one, other)


def test_columns_that_changed_their_role_are_not_compared(tmp_path: Path) -> None:
    before = Profile.of(catalog_of(tmp_path, a=pa.array(["x"]), b=pa.array([1.0])))
    now = Profile.of(
        catalog_of(tmp_path, a=pa.array([1.0]), b=pa.array([1.0]), c=pa.array([1.0])), like=before
    )
    assert set(kl_divergences(now, before)) == {"b"}


def test_progress_ends_at_all_rows(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    catalog = catalog_of(tmp_path, a=pa.array([1.0] * 10), b=pa.array([2.0] * 10))
    Profile.of(catalog, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(5, 10), (10, 10)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("{", "not a profile: file"),
        ('{"format": 2, "rows": 1, "columns": {}}', "not a profile: format"),
        (
            '{"rows": 1, "columns": {"a": {"kind": "numeric", "missing": 0, "not_finite": 0, "minimum": 0,'
            ' "maximum": 0, "atoms": [0], "edges": [], "counts": [1]}}}',
            "1 counts for 3 bins",
        ),
    ],
)
def test_file_that_is_not_a_profile_is_refused_in_one_line(
    tmp_path: Path, content: str | None, message: str
) -> None:
    path = tmp_path / "profile.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CatalogError, match=message) as caught:
        Profile.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
