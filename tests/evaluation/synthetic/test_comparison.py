"""Families are ranked by their distance from the ideal, leaking ones last; every number is in the table."""

from __future__ import annotations

from typing import Any

import pytest

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.comparison import REAL, Comparison, Summary, Trial
from streamrec.evaluation.synthetic.suite import HOLDOUT, INDEPENDENT, SyntheticQuality

SAFE = {"copied_share": 0.0, "membership_auc": 0.5}


def quality(rows: int = 100, **figures: float) -> SyntheticQuality:
    shape = figures.get("shape_error", 0.0)
    columns = [
        {"column": "price", "kind": "number", "shape_error": shape, "trend_error": 0.5},
        {"column": "tags=new", "kind": "label", "shape_error": 2 * shape, "trend_error": 0.25},
    ]
    cells: dict[str, Any] = {"column": "price", "real": [float(i) for i in range(9)], "real_missing": 0.125}
    cells |= {"synthetic": [i + shape for i in range(9)], "synthetic_missing": 0.0}
    return SyntheticQuality(rows, {**SAFE, **figures}, columns, [cells])


def trial(family: str, seed: int = 0, steps: int | None = None, **figures: float) -> Trial:
    return Trial(family, seed, quality(**figures), 10.0 + seed, 0.5, steps)


FLOORS = {HOLDOUT: [quality(shape_error=0.025)], INDEPENDENT: [quality(shape_error=0.0, trend_error=0.05)]}


def test_a_figure_is_its_mean_and_range_over_seeds() -> None:
    found = Comparison([trial("a", seed, shape_error=e) for seed, e in enumerate((0.02, 0.01, 0.06))], FLOORS)
    assert found.figures["a"]["shape_error"] == Summary(pytest.approx(0.03), 0.01, 0.06, 3)
    assert found.costs["a"]["training_seconds"] == Summary(11.0, 10.0, 12.0, 3)
    assert found.costs["a"]["rows_per_second"].mean == 200
    assert "steps" not in found.costs["a"]
    assert list(found.figures) == [HOLDOUT, INDEPENDENT, "a"]


def test_mean_rank_counts_distance_from_the_ideal_on_figures_that_choose() -> None:
    found = Comparison(
        [
            trial("a", shape_error=0.02, detection_auc=0.7, density=5.0),
            trial("b", shape_error=0.01, detection_auc=0.8, density=1.0),
            trial("c", shape_error=0.03, detection_auc=0.45, density=1.0),
        ],
        FLOORS,
    )
    # Shape: b, a, c. Detection: c (0.05 off), a (0.2), b (0.3). Density does not choose.
    assert found.mean_ranks == {"a": 2.0, "b": 2.0, "c": 2.0}
    assert found.best == "a"


def test_equal_values_as_written_share_their_ranks() -> None:
    found = Comparison(
        [trial("a", precision=0.90004), trial("b", precision=0.9), trial("c", precision=0.8)], FLOORS
    )
    assert found.mean_ranks == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_a_figure_that_one_family_lacks_does_not_choose() -> None:
    found = Comparison(
        [trial("a", shape_error=0.01), trial("b", shape_error=0.02, utility_auc=0.99, precision=1.0)], FLOORS
    )
    assert found.mean_ranks == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("leak", "reason"),
    [
        ({"copied_share": 0.5}, r"50.0% of its rows are copies"),
        ({"membership_auc": 0.8}, r"membership shows with an AUC of 0.800"),
    ],
)
def test_a_family_that_gives_training_rows_away_is_not_chosen(leak: dict[str, float], reason: str) -> None:
    found = Comparison([trial("copier", shape_error=0.0, **leak), trial("honest", shape_error=0.1)], FLOORS)
    assert found.mean_ranks["copier"] < found.mean_ranks["honest"]
    assert found.leaks == {"copier": reason}
    assert found.best == "honest"


def test_copies_that_the_source_has_too_are_no_leak() -> None:
    twice = {HOLDOUT: [quality(copied_share=0.3)], INDEPENDENT: [quality()]}
    assert Comparison([trial("a", copied_share=0.305)], twice).leaks == {}
    assert "a" in Comparison([trial("a", copied_share=0.32)], twice).leaks


def test_where_all_leak_the_rank_decides() -> None:
    found = Comparison(
        [trial("a", shape_error=0.2, membership_auc=0.9), trial("b", shape_error=0.1, membership_auc=0.9)], {}
    )
    assert found.best == "b"


def test_the_table_has_every_number() -> None:
    found = Comparison(
        [
            trial("a", 0, 20, shape_error=0.02),
            trial("a", 1, 20, shape_error=0.04),
            trial("b", shape_error=0.5, nll=-3.5),
        ],
        FLOORS,
    )
    rows = found.table().to_pylist()
    assert {row["part"] for row in rows} == {"figures", "costs", "ranks", "columns", "quantiles"}

    def numbers(part: str, family: str, measure: str, column: str | None = None) -> tuple[float, ...]:
        named = [part, family, column, measure]
        (row,) = [r for r in rows if [r["part"], r["family"], r["column"], r["measure"]] == named]
        return row["mean"], row["low"], row["high"], row["seeds"]

    assert numbers("figures", "a", "shape_error") == (pytest.approx(0.03), 0.02, 0.04, 2)
    assert numbers("figures", "b", "nll") == (-3.5, -3.5, -3.5, 1)
    assert numbers("figures", INDEPENDENT, "trend_error") == (0.05, 0.05, 0.05, 1)
    assert numbers("costs", "a", "steps") == (20, 20, 20, 2)
    assert numbers("ranks", "b", "mean_rank") == (2, 2, 2, 1)
    assert numbers("columns", "a", "shape_error", "tags=new") == (pytest.approx(0.06), 0.04, 0.08, 2)
    assert numbers("columns", "b", "trend_error", "tags=new")[0] == 0.25
    assert numbers("quantiles", "a", "quantile 0.5", "price") == (pytest.approx(4.03), 4.02, 4.04, 2)
    assert numbers("quantiles", REAL, "quantile 0.5", "price") == (4, 4, 4, 1)
    assert numbers("quantiles", REAL, "missing", "price")[0] == 0.125
    keys = [(r["part"], r["family"], r["column"], r["measure"]) for r in rows]
    assert len(set(keys)) == len(keys)


def test_a_column_without_values_has_no_quantiles() -> None:
    empty = quality()
    empty.quantiles[0].update(synthetic=None, synthetic_missing=1.0)
    (found,) = Comparison([Trial("a", 0, empty, 1.0, 1.0)], {}).quantiles("a")
    assert list(found.synthetic) == ["missing"]
    assert found.synthetic["missing"].mean == 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(CatalogError, match="at least one family"):
        Comparison([], FLOORS)
    with pytest.raises(CatalogError, match=f"named '{HOLDOUT}'"):
        Comparison([trial(HOLDOUT)], FLOORS)
