"""Shape errors by hand and against SciPy; quantiles."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from small_tables import SCHEMA, mixed_columns, mixed_table, number_columns

from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.marginals import kolmogorov_smirnov, quantile_table, shape_errors
from streamrec.schema import FeatureSchema

SAMPLES = arrays(np.float64, st.integers(1, 40), elements=st.integers(-3, 3).map(float))


@pytest.mark.filterwarnings("ignore:divide by zero")  # in the p-value, which nothing here reads
@given(SAMPLES, SAMPLES)
def test_the_statistic_is_scipys(first: np.ndarray, second: np.ndarray) -> None:
    expected = stats.ks_2samp(first, second, method="asymp").statistic
    assert kolmogorov_smirnov(first, second) == pytest.approx(expected)


def test_a_missing_number_is_below_all_others() -> None:
    nan = math.nan
    assert kolmogorov_smirnov(np.array([nan, 1, 2, 2]), np.array([2, 2, 2, 3])) == pytest.approx(0.5)
    assert kolmogorov_smirnov(np.array([nan, nan]), np.array([-1e300, 5])) == 1
    assert kolmogorov_smirnov(np.array([nan, 1]), np.array([1, nan, nan, 1])) == 0


def test_categories_and_labels_err_by_total_variation() -> None:
    schema = FeatureSchema(item_id="id", categorical=("c",), multi_label=("t",))
    train = Columns.of(pa.table({"c": ["a", "a", "b", None], "t": [["x"], ["x", "y"], [], ["x"]]}), schema)
    other = Columns.of(pa.table({"c": ["a", "new"], "t": [["x", "z"], []]}), schema, train)
    # a 1/2 and 1/2, b 1/4 and 0, missing 1/4 and 0, unseen 0 and 1/2; x 3/4 and 1/2, y 1/4 and 0.
    assert shape_errors(train, other) == pytest.approx([0.5, 0.25, 0.25])


def test_shuffled_columns_keep_their_shape_and_other_rows_do_not() -> None:
    table = mixed_table(300, seed=0)
    rng = np.random.default_rng(1)
    shuffled = pa.table({n: table[n].take(pa.array(rng.permutation(300))) for n in table.column_names})
    real = Columns.of(table, SCHEMA)
    assert shape_errors(real, Columns.of(shuffled, SCHEMA, real)).tolist() == [0.0] * 7
    assert (shape_errors(real, mixed_columns(299, 2, real)) > 0).all()


@given(st.integers(0, 1000))
def test_errors_are_symmetric_shares(seed: int) -> None:
    real = mixed_columns(30, seed)
    other = mixed_columns(20, seed + 1, train=real)
    errors = shape_errors(real, other)
    assert errors == pytest.approx(shape_errors(other, real))
    assert ((errors >= 0) & (errors <= 1)).all()


def test_tables_of_two_vocabularies_are_refused() -> None:
    schema = FeatureSchema(item_id="id", categorical=("c",))
    first, second = (Columns.of(pa.table({"c": values}), schema) for values in (["a"], ["b"]))
    with pytest.raises(CatalogError, match="two vocabularies"):
        shape_errors(first, second)


def test_quantiles_are_those_of_the_cells_that_are_there() -> None:
    real = number_columns(x=[1, 2, 3, 4, None], y=[None] * 5)
    other = number_columns(x=[10, 20, 10, 20, 10], y=[0, 0, 0, 0, 1])
    x, y = quantile_table(real, other, (0, 0.5, 1))
    assert x == {
        "column": "x",
        "real": [1, 2.5, 4],
        "synthetic": [10, 10, 20],
        "real_missing": 0.2,
        "synthetic_missing": 0.0,
    }
    assert (y["real"], y["real_missing"], y["synthetic"]) == (None, 1.0, [0, 0, 1])
