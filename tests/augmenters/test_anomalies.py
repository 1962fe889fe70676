"""Planted odd items come out on top, by the column that was planted; the parts add up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr
from small_augmenters import augmenter, encoder, item_table

from streamrec.augmenters.anomalies import NATS, anomalies, flow_log_density
from streamrec.errors import BundleError, CatalogError, SamplingError

NUMBER, PAIR = "item-7", "item-11"


def planted(rows: int = 400) -> pa.Table:
    """Items among which one has another one's `y`, and one a pair of cells that no item has."""
    items = item_table(rows, seed=21).to_pylist()
    shorts = [item for item in items if item["kind"] == "short"]
    swapped, pair = items[7], items[11]
    swapped.update(kind="film", size="long", x=-3.0, y=3.5, rating=2.0, clicks=6)
    pair.update({**shorts[0], "id": PAIR, "clicks": 9})
    return pa.Table.from_pylist(items, schema=item_table(1).schema)


@pytest.mark.parametrize("with_flow", [True, False])
def test_planted_items_are_the_oddest_and_their_columns_are_named(with_flow: bool) -> None:
    flow = augmenter() if with_flow else None
    found = anomalies(planted(), encoder(), flow, 0, reference=item_table(600, seed=22))
    top = found.slice(0, 12).to_pylist()
    named = {item["id"]: item["odd_columns"] for item in top}
    assert "y" in named[NUMBER][:2]
    assert "clicks" in named[PAIR][:2] or "kind" in named[PAIR][:2]


def test_the_flow_finds_planted_items_that_the_item_vae_finds_less_odd() -> None:
    found = anomalies(planted(), encoder(), augmenter(), 0)
    ranks = {item["id"]: item["log_density_rank"] for item in found.to_pylist()}
    assert ranks[NUMBER] <= 5
    assert ranks[PAIR] <= 12


def test_parts_add_up_to_the_bound_and_ranks_follow_from_them() -> None:
    table = item_table(120, seed=23)
    found = anomalies(table, encoder(), augmenter(), 0)
    parts = np.sum([found[name].to_numpy() for name in found.column_names if name.startswith(NATS)], axis=0)
    np.testing.assert_allclose(
        found["elbo"].to_numpy(), -parts - found["kl"].to_numpy(), rtol=1e-5, atol=1e-4
    )
    for value, rank in (("elbo", "elbo_rank"), ("log_density", "log_density_rank")):
        values, ranks = found[value].to_numpy(), found[rank].to_numpy()
        assert [values[ranks == r].tolist() for r in np.unique(ranks)] == [[v] for v in np.sort(values)]
    mean = (found["elbo_rank"].to_numpy() + found["log_density_rank"].to_numpy()) / 2
    assert np.array_equal(found["rank"].to_numpy(), mean)
    assert (np.diff(mean) >= 0).all()
    assert sorted(found["id"].to_pylist()) == sorted(table["id"].to_pylist())


def test_without_a_flow_the_bound_alone_ranks() -> None:
    found = anomalies(item_table(50, seed=24), encoder(), None, 0)
    assert "log_density" not in found.column_names
    assert found["rank"].to_pylist() == list(range(1, 51))
    assert (np.diff(found["elbo"].to_numpy()) >= 0).all()


def test_the_surprise_is_that_beyond_the_median_item_of_the_reference() -> None:
    table = item_table(80, seed=25)
    found = anomalies(table, encoder(), None, 0)
    first = found.slice(0, 1).to_pylist()[0]
    for column, nats in zip(first["odd_columns"], first["odd_nats"], strict=True):
        cells = found[NATS + column].to_numpy()
        assert nats == pytest.approx(cells[0] - np.median(cells))
    assert first["odd_nats"] == sorted(first["odd_nats"], reverse=True)


def test_the_affordable_density_ranks_as_the_full_one() -> None:
    table = item_table(80, seed=26)
    rows = encoder().codec.encode(table)
    told: list[tuple[int, int | None]] = []
    quick = flow_log_density(augmenter(), rows, lambda done, total: told.append((done, total)))
    space = augmenter().space
    # The density of the table's numbers has the slopes of scaling and scores besides.
    ranks = space.ranks(rows)
    points = ~(ranks.high > ranks.low)
    slopes = np.where(points, space.scores.log_derivative(rows, ranks, ranks.scores), 0).sum(1)
    full = augmenter().log_prob(table) - space.log_scaling(rows, points) - slopes
    assert spearmanr(quick, full)[0] > 0.9
    assert told == [(80, 80)]


def test_the_same_arguments_give_the_same_table() -> None:
    table = item_table(40, seed=27)
    assert anomalies(table, encoder(), augmenter(), 3).equals(anomalies(table, encoder(), augmenter(), 3))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SamplingError, match="vae: has no density of rows; use the family flow"):
        anomalies(item_table(9), encoder(), augmenter("vae", 5), 0)
    with pytest.raises(CatalogError, match="no column 'x'"):
        anomalies(item_table(9).drop_columns(["x"]), encoder(), None, 0)

    class Other:
        family, codec = "flow", type(encoder().codec)(encoder().codec.schema, (), (), ())

    with pytest.raises(BundleError, match="belongs to codec"):
        anomalies(item_table(9), encoder(), Other(), 0)  # type: ignore[arg-type]
