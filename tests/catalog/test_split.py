from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamrec.catalog.split import split_items, trained_rows
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig
from streamrec.schema import FeatureSchema


@pytest.mark.parametrize("max_rows", [40, 200_000])
def test_the_rows_trained_on_can_be_told_from_their_number_alone(tmp_path: Path, max_rows: int) -> None:
    pq.write_table(pa.table({"id": range(100, 200), "a": [0.5] * 100}), tmp_path / "items.parquet")
    catalog = Catalog(tmp_path / "items.parquet", FeatureSchema(item_id="id", numeric=("a",)))
    config = RunConfig.model_validate({"generate": {}, "seed": 7, "train": {"max_rows": max_rows}})
    found = split_items(catalog, config).train["id"].to_pylist()
    assert found == (100 + trained_rows(100, config)).tolist()
    assert len(found) == min(max_rows, 100) * 0.9
