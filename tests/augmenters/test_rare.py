"""Rare categories filled with conditional samples, and the lift that is measured of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from kinds import QUICK, SCHEMA, make_table

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.lift import AUC, PURITY, RECALL, REPORT, TABLE, Lift, RareLift
from streamrec.augmenters.rare import fill_rare, rare_categories, rare_lift, repeat_rare
from streamrec.augmenters.settings import RefineConfig
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig, RunConfig
from streamrec.errors import CatalogError, ConfigError

SETTINGS = QUICK.model_copy(
    update={
        "fit": QUICK.fit.model_copy(update={"steps": 200, "learning_rate": 5e-3, "ema_decay": 0.98}),
        "refine": RefineConfig(cells=False, ratio_rounds=0),
    }
)
CONFIG = RunConfig.model_validate(
    {"generate": {}, "model": {"latent_dim": 3, "hidden": [16]}, "train": {"epochs": 4}}
)


def cut(table: pa.Table, rows: int) -> pa.Table:
    """The table with the first `rows` of kind b."""
    is_b = pc.equal(table["kind"], "b").to_numpy()
    return table.filter(pa.array(~is_b | (np.cumsum(is_b) <= rows)))


@pytest.fixture(scope="module")
def train() -> pa.Table:
    return cut(make_table(600, 0), 30)


@pytest.fixture(scope="module")
def flow() -> TableAugmenter:
    rows = make_table(600, 0)
    codec = FeatureCodec.fit(rows, SCHEMA, CodecConfig())
    return fit_augmenter("flow", codec.encode(rows), codec, SETTINGS, seed=0)


@pytest.fixture(scope="module")
def lift(train: pa.Table) -> RareLift:
    return rare_lift(train, make_table(200, 1), SCHEMA, CONFIG, SETTINGS, "kind", 120, (3, 4))


def test_rare_categories_come_up_to_the_target_and_real_rows_stay(
    flow: TableAugmenter, train: pa.Table
) -> None:
    filled = fill_rare(train, flow, "kind", 200, seed=0)
    real = filled.filter(pc.invert(filled["synthetic"]))
    drawn = filled.filter(filled["synthetic"])
    assert filled[: len(train)].equals(real), "real rows come first"
    assert real.drop_columns(["synthetic"]).equals(train)
    assert drawn["kind"].to_pylist() == ["b"] * 170
    assert drawn["id"].null_count == 170
    assert pc.mean(drawn["x"]).as_py() > 4, "x is 6 in the mean for kind b, 1.5 over all rows"


def test_repeated_rows_are_the_category_s_own_each_about_as_often(train: pa.Table) -> None:
    filled = repeat_rare(train, SCHEMA, "kind", 100, seed=0)
    copies = filled.filter(filled["synthetic"])
    own = train.filter(pc.equal(train["kind"], "b"))["id"].to_pylist()
    counts = [copies["id"].to_pylist().count(item) for item in own]
    assert sum(counts) == len(copies) == 70
    assert set(counts) == {2, 3}, "70 copies of 30 rows"


def test_same_seed_same_rows(flow: TableAugmenter, train: pa.Table) -> None:
    first, again, other = (fill_rare(train, flow, "kind", 60, s) for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_categories_at_the_target_and_missing_cells_are_not_rare() -> None:
    table = pa.table({"kind": ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + [None]})
    assert rare_categories(table, SCHEMA, "kind", 4) == {"c": 2, "b": 3}
    assert rare_categories(table, SCHEMA, "kind", 3) == {"c": 2}


@pytest.mark.parametrize(
    ("column", "target", "message"),
    [
        ("kin", 99, "no categorical column 'kin'; did you mean 'kind'"),
        ("x", 99, "no categorical column 'x'; found kind"),
        ("kind", 2, "no category of 'kind' has fewer than 2 training rows, the rarest has 30"),
    ],
)
def test_wrong_settings_are_named(train: pa.Table, column: str, target: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rare_lift(train, train, SCHEMA, CONFIG, SETTINGS, column, target, (0, 1))


@pytest.mark.parametrize("seeds", [(), (1,), (1, 1)])
def test_an_interval_needs_two_seeds(train: pa.Table, seeds: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected two or more, all different"):
        rare_lift(train, train, SCHEMA, CONFIG, SETTINGS, "kind", 99, seeds)


def test_held_out_rows_of_a_rare_category_are_needed(train: pa.Table) -> None:
    without = train.filter(pc.equal(train["kind"], "a"))
    with pytest.raises(CatalogError, match="no held-out rows of 'kind' b"):
        rare_lift(train, without, SCHEMA, CONFIG, SETTINGS, "kind", 99, (0, 1))


def test_tables_that_are_filled_already_are_refused(flow: TableAugmenter, train: pa.Table) -> None:
    filled = fill_rare(train, flow, "kind", 60, seed=0)
    with pytest.raises(CatalogError, match="found a column 'synthetic'"):
        fill_rare(filled, flow, "kind", 90, seed=0)


def test_t_interval_of_known_numbers() -> None:
    mean, low, high = Lift.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3
    # t(.975, 4) = 2.776445; standard error sqrt(2.5 / 5).
    assert (low, high) == pytest.approx((3 - 1.963243, 3 + 1.963243), abs=1e-6)


@pytest.mark.parametrize(("gains", "kept"), [((0.1, 0.11, 0.12), True), ((0.0, 0.1, 0.3), False)])
def test_kept_only_where_the_whole_interval_is_above_zero(
    lift: RareLift, gains: tuple[float, ...], kept: bool
) -> None:
    zeros = (0.0, 0.0, 0.0)
    made = RareLift(
        "kind", 9, {}, {}, (0, 1, 2), {PURITY: zeros}, {PURITY: zeros}, {PURITY: gains}, lift.table
    )
    assert made.lifts[PURITY].mean > 0
    assert made.kept is kept


def test_every_measure_has_a_share_per_seed(lift: RareLift) -> None:
    assert lift.train_rows == {"b": 30}
    assert lift.held_out_rows == {"b": pc.sum(pc.equal(make_table(200, 1)["kind"], "b")).as_py()}
    for part in lift.arms.values():
        assert set(part) == {PURITY, RECALL, AUC}
        assert all(len(values) == 2 and 0 <= min(values) <= max(values) <= 1 for values in part.values())
    recalls = [part[RECALL] for part in lift.arms.values()]
    assert len(set(recalls)) == 3, "the encoders differ"
    assert min(lift.real[AUC]) > 0.9, "x tells the kinds apart"


def test_table_has_synthetic_rows_exactly_where_they_are_kept(lift: RareLift, train: pa.Table) -> None:
    assert len(lift.table) == len(train) + (90 if lift.kept else 0)


def test_same_seeds_same_report(lift: RareLift, train: pa.Table) -> None:
    told: list[tuple[int, int | None]] = []
    again = rare_lift(
        train,
        make_table(200, 1),
        SCHEMA,
        CONFIG,
        SETTINGS,
        "kind",
        120,
        (3, 4),
        lambda *units: told.append(units),
    )
    assert again.to_dict() == lift.to_dict()
    assert again.table.equals(lift.table)
    assert told == sorted(told)
    assert told[-1] == (70, 70)


def test_report_and_table_are_on_disk(lift: RareLift, tmp_path: Path) -> None:
    lift.write(tmp_path)
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["kept"] is lift.kept
    assert report["lifts"][PURITY]["low"] == lift.lifts[PURITY].low
    assert pq.read_table(tmp_path / TABLE).equals(lift.table)
    assert [len(line) for line in lift.lines()] == [6, 6, 6, 6]
