"""Tables that need no model are judged as what they are: copies, strangers, shuffles, rows of the source."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_tables import SCHEMA, mixed_table

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.suite import (
    HOLDOUT,
    INDEPENDENT,
    SyntheticQuality,
    floors,
    independent,
    judge,
)
from streamrec.schema import FeatureSchema

TRAIN, HELD_OUT, FRESH = mixed_table(600, 1), mixed_table(200, 2), mixed_table(600, 3)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(TRAIN, HELD_OUT, SCHEMA)


@pytest.fixture(scope="module")
def fresh(reference: Reference) -> SyntheticQuality:
    """More rows of the source: what a perfect augmenter would make."""
    return judge(FRESH, reference, seed=0)


@pytest.fixture(scope="module")
def both_floors(reference: Reference) -> dict[str, SyntheticQuality]:
    return floors(reference, 600, seed=0)


def test_rows_of_the_source_are_near_every_ideal(fresh: SyntheticQuality) -> None:
    found = fresh.figures
    assert found["shape_error"] < 0.06
    assert found["trend_error"] < 0.1
    assert found["precision"] > 0.8
    assert found["recall"] > 0.8
    assert found["density"] == pytest.approx(1, abs=0.15)
    assert found["coverage"] > 0.9
    assert found["detection_auc"] == pytest.approx(0.5, abs=0.07)
    assert found["closest_record_share"] == pytest.approx(0.5, abs=0.08)
    assert found["membership_auc"] == pytest.approx(0.5, abs=0.08)
    assert found["copied_share"] < 0.02


def test_copies_are_found_out_by_what_looks_for_them(reference: Reference) -> None:
    found = judge(TRAIN, reference, seed=0).figures
    assert found["copied_share"] == 1
    assert found["membership_auc"] > 0.95
    # A third of the training rows is on the members' side; the others are as near to either.
    assert found["closest_record_share"] == pytest.approx(1 / 3 + 2 / 3 / 2, abs=0.05)
    assert found["shape_error"] == found["trend_error"] == found["frechet_features"] == 0


def test_the_independent_floor_has_every_marginal_and_teaches_nothing(
    both_floors: dict[str, SyntheticQuality], fresh: SyntheticQuality
) -> None:
    found = both_floors[INDEPENDENT].figures
    assert found["shape_error"] == 0
    assert found["trend_error"] > 0.05
    assert found["utility_auc"] == pytest.approx(0.5, abs=0.1)
    assert found["utility_spearman"] < fresh.figures["utility_spearman"] - 0.2


def test_the_holdout_floor_is_judged_without_what_privacy_compares_with_it(
    both_floors: dict[str, SyntheticQuality], reference: Reference
) -> None:
    held_out = both_floors[HOLDOUT]
    assert held_out.rows == 200
    assert not {"closest_record_share", "membership_auc", "nll"} & set(held_out.figures)
    as_synthetic = judge(HELD_OUT, reference, seed=0).figures
    same = ("shape_error", "trend_error", "precision", "recall", "coverage", "detection_auc", "copied_share")
    assert {key: held_out.figures[key] for key in same} == {key: as_synthetic[key] for key in same}


def test_utility_of_the_holdout_floor_is_that_of_the_training_rows(
    both_floors: dict[str, SyntheticQuality], reference: Reference
) -> None:
    taught = judge(TRAIN, reference, seed=0).figures
    for key in ("utility_auc", "utility_r2", "utility_spearman"):
        assert both_floors[HOLDOUT].figures[key] == taught[key]


def test_every_figure_has_a_name_and_every_name_a_figure(fresh: SyntheticQuality) -> None:
    def encode(table: pa.Table) -> np.ndarray:
        return np.column_stack([pc.fill_null(table["stock"], 0), pc.fill_null(table["age"], 0)])

    with_latents = Reference.of(TRAIN, HELD_OUT, SCHEMA, latents=encode)
    found = judge(FRESH, with_latents, seed=0, nll=-12.5).figures
    assert set(found) == {figure.key for figure in FIGURES}
    assert found["nll"] == -12.5
    assert found["frechet_latents"] > 0
    assert set(fresh.figures) == set(found) - {"nll", "frechet_latents"}


def test_the_columns_average_to_the_figures(fresh: SyntheticQuality) -> None:
    names = [column["column"] for column in fresh.columns]
    assert names == ["price", "stock", "age", "colour", "size", "tags=new", "tags=sale"]
    for error in ("shape_error", "trend_error"):
        assert np.mean([c[error] for c in fresh.columns]) == pytest.approx(fresh.figures[error])
    assert [table["column"] for table in fresh.quantiles] == ["price", "stock", "age"]


def test_the_seed_decides_everything(reference: Reference, fresh: SyntheticQuality) -> None:
    assert judge(FRESH, reference, seed=0) == fresh
    other = judge(FRESH, reference, seed=1).figures
    assert other["closest_record_share"] != fresh.figures["closest_record_share"]
    assert other["detection_auc"] != fresh.figures["detection_auc"]
    assert other["shape_error"] == fresh.figures["shape_error"]


def test_order_and_other_columns_of_the_table_do_not_matter(
    reference: Reference, fresh: SyntheticQuality
) -> None:
    table = FRESH.select(FRESH.column_names[::-1]).append_column("note", pa.nulls(len(FRESH)))
    assert judge(table, reference, seed=0) == fresh


def test_numeric_utility_is_that_of_ranks(reference: Reference, fresh: SyntheticQuality) -> None:
    def stretched(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index("age"), "age", pc.exp(table["age"]))

    found = judge(
        stretched(FRESH), Reference.of(stretched(TRAIN), stretched(HELD_OUT), SCHEMA), seed=0
    ).figures
    assert found["utility_r2"] == pytest.approx(fresh.figures["utility_r2"])
    assert found["utility_spearman"] == pytest.approx(fresh.figures["utility_spearman"])
    assert found["utility_spearman"] > 0.2


def test_a_schema_without_a_target_has_no_utility() -> None:
    labels = FeatureSchema(item_id="id", multi_label=("tags",))
    found = judge(FRESH, Reference.of(TRAIN, HELD_OUT, labels), seed=0).figures
    assert not [key for key in found if key.startswith("utility")]
    assert all(np.isfinite(list(found.values())))


@pytest.mark.parametrize("n", [37, 600, 1200, 700])
def test_independent_rows_have_the_columns_and_nothing_else(n: int) -> None:
    rows = independent(TRAIN, n, seed=0)
    assert rows.column_names == TRAIN.column_names
    assert rows.schema.types == TRAIN.schema.types
    assert len(rows) == n
    for name in TRAIN.column_names:
        drawn, whole = (sorted(map(repr, table[name].to_pylist())) for table in (rows, TRAIN))
        if n % 600 == 0:
            assert drawn == sorted(whole * (n // 600))
        else:
            assert set(drawn) <= set(whole)
    orders = [rows[name].to_pylist() != TRAIN[name].to_pylist()[:n] for name in TRAIN.column_names]
    assert all(orders)
    assert independent(TRAIN, n, seed=0).equals(rows)
    assert not independent(TRAIN, n, seed=1).equals(rows)


def test_qualities_are_json(fresh: SyntheticQuality) -> None:
    assert json.loads(json.dumps(fresh.to_dict()))["figures"] == fresh.figures


def test_tables_that_cannot_be_judged_are_refused(reference: Reference) -> None:
    with pytest.raises(CatalogError, match="at least 6"):
        judge(FRESH[:5], reference, seed=0)
    with pytest.raises(CatalogError, match="'stock'"):
        judge(FRESH.drop_columns(["stock"]), reference, seed=0)
