"""The floors that figures about News stand beside: held-out rows, and columns shuffled one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.dependence import trend_error, trend_errors
from streamrec.evaluation.synthetic.distances import DistanceSpace, neighbour_distances
from streamrec.evaluation.synthetic.marginals import shape_errors
from streamrec.evaluation.synthetic.support import NEIGHBOURS, support
from streamrec.schema import FeatureSchema


@pytest.fixture(scope="module")
def news(real_data: Path) -> tuple[Columns, Columns, Columns]:
    """Training rows (8,886), held-out rows (988), and the training rows with each column shuffled."""
    frame = pd.read_parquet(real_data / "news" / "news.parquet").drop(columns=["item_id", "published"])
    frame = frame.sample(frac=1, random_state=0)
    categorical = ("channel", "weekday")
    numeric = tuple(name for name in frame.columns if name not in categorical)
    schema = FeatureSchema(item_id="item_id", categorical=categorical, numeric=numeric)
    rows = int(len(frame) * 0.9)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    train = Columns.of(table[:rows], schema)
    rng = np.random.default_rng(0)
    shuffled = pa.table({name: table[name][:rows].take(pa.array(rng.permutation(rows))) for name in frame})
    return train, Columns.of(table[rows:], schema, train), Columns.of(shuffled, schema, train)


def test_held_out_rows_err_by_their_number_alone(news: tuple[Columns, Columns, Columns]) -> None:
    train, held_out, _ = news
    assert 100 * shape_errors(train, held_out).mean() == pytest.approx(2.49, abs=0.005)
    assert 100 * trend_error(trend_errors(train, held_out)) == pytest.approx(2.44, abs=0.005)


def test_shuffled_columns_keep_their_shape_and_lose_their_trend(
    news: tuple[Columns, Columns, Columns],
) -> None:
    train, _, shuffled = news
    assert shape_errors(train, shuffled).max() == 0
    assert 100 * trend_error(trend_errors(train, shuffled)) == pytest.approx(4.90, abs=0.01)


def test_held_out_rows_share_the_support_and_shuffled_columns_leave_it(
    news: tuple[Columns, Columns, Columns],
) -> None:
    train, held_out, shuffled = news
    space = DistanceSpace.of(train)
    real = space.place(train)
    radii = neighbour_distances(real, NEIGHBOURS)
    kept = support(real, space.place(held_out), real_radii=radii)
    assert (kept.precision, kept.recall) == pytest.approx((0.938, 0.920), abs=0.001)
    # Five of the 8,885 + 988 others are nearest, none of them held out.
    assert kept.coverage == pytest.approx(1 - (8885 / 9873) ** 5, abs=0.02)
    left = support(real, space.place(shuffled), real_radii=radii)
    assert left.precision < 0.06
    assert left.recall == pytest.approx(0.78, abs=0.02)
    assert left.coverage < 0.05
