"""The score axis: repeated values are intervals, and every way there leads back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import kstest

from streamrec.augmenters.scores import ScoreMap, spread
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.config import CodecConfig
from streamrec.layout import MISSING_STATE
from streamrec.schema import FeatureSchema


def encoded(columns: dict[str, object], scaling: str = "auto") -> tuple[FeatureCodec, EncodedRows]:
    table = pa.table(columns)
    schema = FeatureSchema(item_id="id", numeric=list(columns))
    codec = FeatureCodec.fit(table, schema, CodecConfig(scaling=scaling))
    return codec, codec.encode(table)


@pytest.fixture
def messy() -> dict[str, object]:
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random(3_000) < 0.4, 0.0, rng.gamma(2.0, 3.0, 3_000))
    dropped = rng.random(3_000) < 0.2
    return {
        "zeros": zeros,
        "counts": rng.poisson(3, 3_000),
        "skewed": rng.lognormal(0, 2, 3_000),
        "normal": rng.normal(5, 2, 3_000),
        "constant": np.full(3_000, 7.0),
        "gaps": pa.array(zeros, mask=dropped),
    }


def test_scores_of_training_rows_are_standard_normal(messy: dict[str, object]) -> None:
    _, rows = encoded(messy, "quantile")
    scores = spread(ScoreMap.fit(rows).ranks(rows), seed=1)
    for column in range(scores.shape[1]):
        assert kstest(scores[:, column], "norm").statistic < 0.03, list(messy)[column]


def test_every_cell_comes_back_from_its_score(messy: dict[str, object]) -> None:
    codec, rows = encoded(messy)
    scores = ScoreMap.fit(rows)
    numbers = scores.numbers(spread(scores.ranks(rows), seed=2))
    decoded = codec.decode(
        EncodedRows(rows.categories, rows.labels, numbers, (rows.states == MISSING_STATE).astype(np.int64))
    )
    for name in ("zeros", "counts", "constant"):
        exact = np.asarray(decoded[name])
        assert np.array_equal(
            exact[exact == np.round(exact)], np.asarray(messy[name])[exact == np.round(exact)]
        )
    assert np.array_equal(decoded["counts"], messy["counts"])
    for name in ("skewed", "normal"):
        found, true = np.asarray(decoded[name]), np.asarray(messy[name])
        assert np.abs(ranks_of(found) - ranks_of(true)).max() <= 0.003 * len(true)
    missing = rows.states[:, -1] == MISSING_STATE
    assert np.array_equal(np.asarray(decoded["gaps"].is_null()), missing)


def ranks_of(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def test_a_repeated_value_takes_its_share_of_the_axis(messy: dict[str, object]) -> None:
    _, rows = encoded({"zeros": messy["zeros"]})
    scores = ScoreMap.fit(rows)
    draws = np.random.default_rng(3).normal(size=(100_000, 1))
    numbers, counts = np.unique(scores.numbers(draws), return_counts=True)
    zero = rows.numbers[np.asarray(messy["zeros"]) == 0][0, 0]
    share = counts[numbers == zero].sum() / len(draws)
    assert share == pytest.approx(float(np.mean(np.asarray(messy["zeros"]) == 0)), abs=0.005)


def test_scores_beyond_the_training_range_decode_within_it(messy: dict[str, object]) -> None:
    _, rows = encoded(messy)
    extreme = np.array([[-50.0], [50.0]]).repeat(rows.numbers.shape[1], 1)
    numbers = ScoreMap.fit(rows).numbers(extreme)
    assert (numbers >= rows.numbers.min(0) - 1e-6).all()
    assert (numbers <= rows.numbers.max(0) + 1e-6).all()


def test_log_derivative_is_the_slope_of_the_score(messy: dict[str, object]) -> None:
    _, rows = encoded({name: messy[name] for name in ("skewed", "normal")})
    scores = ScoreMap.fit(rows)
    inner = rows[np.argsort(rows.numbers[:, 0])[500:2_500]]
    ranks = scores.ranks(inner)
    assert (ranks.high == ranks.low).all()
    slopes = scores.log_derivative(inner, ranks, spread(ranks, 0))
    # The density that the slope implies integrates to the share of the rows between two values.
    order = np.argsort(inner.numbers[:, 0])
    numbers, density = inner.numbers[order, 0], (np.exp(slopes[:, 0]) * normal(ranks.scores[:, 0]))[order]
    mass = float(np.sum(np.diff(numbers.astype(np.float64)) * density[1:]))
    expected = ndtr(ranks.scores[order[-1], 0]) - ndtr(ranks.scores[order[0], 0])
    assert mass == pytest.approx(float(expected), rel=0.02)


def normal(scores: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * scores.astype(np.float64) ** 2) / np.sqrt(2 * np.pi)


def test_a_spread_cell_weighs_as_much_as_its_share() -> None:
    _, rows = encoded({"coin": np.array([0, 0, 0, 1] * 100)})
    scores = ScoreMap.fit(rows)
    ranks = scores.ranks(rows)
    drawn = spread(ranks, seed=0)
    # Under a model whose scores are exactly N(0, 1) the bound is the log of the value's share, for any draw.
    log_probability = np.log(normal(drawn)) + scores.log_derivative(rows, ranks, drawn)
    assert log_probability[0, 0] == pytest.approx(np.log(0.75), abs=1e-5)
    assert log_probability[3, 0] == pytest.approx(np.log(0.25), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    st.integers(0, 5),
)
def test_any_column_round_trips_within_rounding(values: list[float], seed: int) -> None:
    _, rows = encoded({"x": pa.array(values, pa.float64())})
    scores = ScoreMap.fit(rows)
    numbers = scores.numbers(spread(scores.ranks(rows), seed))
    assert numbers == pytest.approx(rows.numbers, abs=1e-4)


def test_arrays_restore_an_equal_map(messy: dict[str, object]) -> None:
    _, rows = encoded(messy)
    scores = ScoreMap.fit(rows)
    again = ScoreMap.from_arrays(scores.to_arrays())
    assert np.array_equal(spread(again.ranks(rows), 4), spread(scores.ranks(rows), 4))
