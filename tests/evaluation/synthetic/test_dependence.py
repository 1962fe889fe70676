"""Trend errors by hand and pair by pair; correlations against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tables import SCHEMA, mixed_columns, mixed_table, number_columns

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic import dependence as module
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.dependence import correlations, trend_error, trend_errors
from streamrec.schema import FeatureSchema


def cut(real: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Decile bins by pandas; a missing cell is a bin of its own."""
    known = real[~np.isnan(real)]
    edges = np.unique(np.quantile(known, np.linspace(0.1, 0.9, 9)))
    bins = pd.cut(pd.Series(values), [-np.inf, *edges, np.inf], right=False, labels=False)
    return bins.fillna(-1).to_numpy()


def joint_distance(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    shares = [
        pd.Series(list(zip(*pair, strict=True))).value_counts(normalize=True) for pair in (first, second)
    ]
    return shares[0].subtract(shares[1], fill_value=0).abs().sum() / 2


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_errors_are_those_of_each_pair_alone(seed: int) -> None:
    real = mixed_columns(120, seed)
    other = mixed_columns(90, seed + 1, train=real)
    values = [
        [cut(column, table.numbers[:, i]) for i, column in enumerate(real.numbers.T)]
        + [*table.categories.T, *table.labels.T]
        for table in (real, other)
    ]
    by_pandas = [pd.DataFrame(table.numbers).corr().to_numpy() for table in (real, other)]
    errors = trend_errors(real, other)
    assert errors.shape == (7, 7)
    for i in range(7):
        for j in range(7):
            if i == j:
                expected = 0.0
            elif max(i, j) < 3:
                expected = abs(by_pandas[0][i, j] - by_pandas[1][i, j]) / 2
            else:
                expected = joint_distance(*([table[i], table[j]] for table in values))
            assert errors[i, j] == pytest.approx(expected), (i, j)


def test_a_table_has_its_own_trend_and_no_pair_is_dropped() -> None:
    real = mixed_columns(200, seed=0)
    assert trend_errors(real, real).tolist() == np.zeros((7, 7)).tolist()
    errors = np.arange(49.0).reshape(7, 7)
    assert trend_error(errors) == pytest.approx(
        sum(errors[i, j] for i in range(7) for j in range(i + 1, 7)) / 21
    )
    assert trend_error(np.zeros((1, 1))) == 0


def test_shuffling_columns_is_seen_where_shapes_are_not() -> None:
    schema = FeatureSchema(item_id="id", categorical=("a", "b"))
    tied = pa.table({"a": ["x", "y"] * 2, "b": ["u", "v"] * 2})
    free = pa.table({"a": ["x", "y"] * 2, "b": ["u", "v", "v", "u"]})
    real = Columns.of(tied, schema)
    # (x, u) and (y, v) half each, against a quarter for each of four pairs.
    assert trend_errors(real, Columns.of(free, schema, real))[0, 1] == pytest.approx(0.5)


def test_opposite_numbers_err_most() -> None:
    real = number_columns(x=[1, 2, 3, 4], y=[1, 2, 3, 4])
    assert trend_errors(real, number_columns(x=[1, 2, 3, 4], y=[4, 3, 2, 1]))[0, 1] == pytest.approx(1)


def test_blocks_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mixed_columns(150, seed=0)
    other = mixed_columns(130, seed=1, train=real)
    whole = trend_errors(real, other)
    monkeypatch.setattr(module, "BLOCK", 32)
    assert trend_errors(real, other) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_correlations_are_pandas_pair_by_pair(missing: float) -> None:
    columns = mixed_columns(100, seed=3, missing=missing)
    assert correlations(columns) == pytest.approx(pd.DataFrame(columns.numbers).corr().to_numpy())


@pytest.mark.filterwarnings("error")
def test_what_does_not_vary_has_no_correlation() -> None:
    found = correlations(
        number_columns(
            x=[0.1, 0.2, 0.3, 0.4],
            constant=[0.1, 0.1, 0.1, 0.1],
            empty=[None, None, None, None],
            constant_beside_x=[None, 7.3, 7.3, 7.3],
            y=[5, 7.1, 7.1, 7.1],
        )
    )
    assert found[0, :4] == pytest.approx([1, 0, 0, 0])
    # `y` varies, but not where the column beside it has a value.
    assert found[3, 4] == 0
    assert found[0, 4] == pytest.approx(np.corrcoef([1, 2, 3, 4], [5, 7.1, 7.1, 7.1])[0, 1])


def test_numbers_whose_squares_overflow_correlate() -> None:
    found = correlations(number_columns(x=[-1e300, 0, 1e300], y=[1, 2, 3]))
    assert found == pytest.approx(np.ones((2, 2)))


def test_labels_alone_and_numbers_alone_have_a_trend() -> None:
    schema = FeatureSchema(item_id="id", multi_label=("t",))
    real = Columns.of(pa.table({"t": [["a", "b"], [], ["a", "b"], []]}), schema)
    other = Columns.of(pa.table({"t": [["a"], ["b"], ["a"], ["b"]]}), schema, real)
    assert trend_errors(real, other)[0, 1] == pytest.approx(1)
    assert trend_errors(number_columns(x=[1, 2]), number_columns(x=[3, 9])).tolist() == [[0]]


def test_tables_of_two_vocabularies_are_refused() -> None:
    table = mixed_table(50, seed=0)
    real = Columns.of(table, SCHEMA)
    without_red = Columns.of(table.filter(pc.not_equal(table["colour"], "red")), SCHEMA)
    with pytest.raises(CatalogError, match="two vocabularies"):
        trend_errors(real, without_red)
