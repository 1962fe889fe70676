"""The floors of News by what needs a model or the holdout: detection, utility, privacy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.suite import HOLDOUT, INDEPENDENT, floors, judge
from streamrec.schema import FeatureSchema

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference(real_data: Path) -> Reference:
    """The first 90% of the shuffled rows to learn from (8,886), the others (988) to judge by."""
    frame = pd.read_parquet(real_data / "news" / "news.parquet").drop(columns=["item_id", "published"])
    categorical = ("channel", "weekday")
    numeric = tuple(name for name in frame.columns if name not in categorical)
    schema = FeatureSchema(item_id="item_id", categorical=categorical, numeric=numeric)
    table = pa.Table.from_pandas(frame.sample(frac=1, random_state=0), preserve_index=False)
    rows = int(len(table) * 0.9)
    return Reference.of(table[:rows], table[rows:], schema)


def test_floors_are_those_published(reference: Reference) -> None:
    found = floors(reference, 8886, seed=0)
    held_out, shuffled = found[HOLDOUT].figures, found[INDEPENDENT].figures
    assert held_out["detection_auc"] == pytest.approx(0.501, abs=0.03)
    assert held_out["utility_auc"] == pytest.approx(0.979, abs=0.0005)
    assert shuffled["detection_auc"] > 0.999
    assert shuffled["utility_auc"] == pytest.approx(0.487, abs=0.03)
    assert shuffled["closest_record_share"] == pytest.approx(0.48, abs=0.03)


def test_a_bootstrap_looks_good_and_is_found_out(reference: Reference) -> None:
    drawn = reference.train.to_pandas().sample(frac=1, replace=True, random_state=1)
    found = judge(pa.Table.from_pandas(drawn, preserve_index=False), reference, seed=0).figures
    assert found["shape_error"] < 0.01
    assert found["utility_auc"] > 0.97
    assert found["copied_share"] == 1
    assert found["membership_auc"] > 0.75
