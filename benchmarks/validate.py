"""Seconds per stage of `validate`, and of Great Expectations alone on every row for the same table.

    python benchmarks/validate.py [--sizes 20000x31 1000000x50] [--naive 20000x31 100000x50]

The table has an id, five categories, a multi-label and numbers (half of them with an atom at zero). It
is compared with a reference profile of another draw, as every run but the first is. `--naive` runs what
one would write by hand: the whole table as a data frame, and per column expectations for missing cells,
ranges or categories, divergence and unique ids, full results.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.catalog.expectations import plan_checks
from streamrec.catalog.profile import Profile
from streamrec.catalog.table import Catalog
from streamrec.catalog.validate import validate
from streamrec.config import ValidationConfig
from streamrec.schema import FeatureSchema

CATEGORIES = 5
LABELS = np.array([f"label {i}" for i in range(30)])


def draw(rows: int, columns: int, path: Path, seed: int) -> Catalog:
    rng = np.random.default_rng(seed)
    table: dict[str, pa.Array] = {"item_id": pa.array(np.char.mod("item %d", np.arange(rows)))}
    for index in range(CATEGORIES):
        names = np.array([f"value {i}" for i in range(10 ** (1 + index // 2))])
        table[f"category {index}"] = pa.array(names[rng.integers(len(names), size=rows)])
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, size=rows))]).astype(np.int32)
    table["labels"] = pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(LABELS[rng.integers(30, size=offsets[-1])])
    )
    for index in range(columns - len(table)):
        values = rng.lognormal(size=rows)
        values[rng.random(rows) < 0.3 * (index % 2)] = 0
        table[f"number {index}"] = pa.array(values, mask=rng.random(rows) < 0.05)
    pq.write_table(pa.table(table), path)
    schema = FeatureSchema(
        item_id="item_id",
        categorical=tuple(name for name in table if name.startswith("category")),
        multi_label=("labels",),  # type: ignore[arg-type]
        numeric=tuple(name for name in table if name.startswith("number")),
    )
    return Catalog(path, schema)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = work()
    return value, time.perf_counter() - start


def naive(catalog: Catalog, reference: Profile) -> float:
    """Seconds that Great Expectations takes for about three expectations per column on every row."""
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    start = time.perf_counter()
    frame = catalog.table([name for name in catalog.schema.columns if name != "labels"]).to_pandas()
    wanted: list[Any] = [gxe.ExpectColumnValuesToBeUnique(column="item_id")]
    for name in frame.columns:
        wanted.append(gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=0.1))
        before = reference.columns.get(name)
        if before is None:
            continue
        if before.kind == "numeric":
            weights = (np.array(before.counts) / sum(before.counts)).tolist()
            bins: dict[str, Any] = {"bins": list(before.grid), "weights": weights[1:-1]}
            bins["tail_weights"] = [weights[0], weights[-1]]
            wanted.append(gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-1e3, max_value=1e3))
        else:
            total = sum(before.counts.values())
            shares = [count / total for count in before.counts.values()]
            bins = {"values": list(before.counts), "weights": shares}
            wanted.append(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(before.counts)))
        wanted.append(
            gxe.ExpectColumnKLDivergenceToBeLessThan(column=name, partition_object=bins, threshold=0.5)
        )
    suite = context.suites.add(gx.ExpectationSuite(name="naive", expectations=wanted))
    batch = context.data_sources.add_pandas("naive").add_dataframe_asset("items")
    definition = gx.ValidationDefinition(
        name="naive", data=batch.add_batch_definition_whole_dataframe("whole"), suite=suite
    )
    checkpoint = gx.Checkpoint(
        name="naive",
        validation_definitions=[context.validation_definitions.add(definition)],
        result_format="SUMMARY",
    )
    context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
    return time.perf_counter() - start


def size(text: str) -> tuple[int, int]:
    rows, columns = text.split("x")
    return int(rows), int(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=size, nargs="*", default=[(20_000, 31), (1_000_000, 50)])
    parser.add_argument("--naive", type=size, nargs="*", default=[(20_000, 31), (100_000, 50)])
    arguments = parser.parse_args()
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    _, seconds = timed(lambda: __import__("great_expectations.expectations"))
    print(f"import great_expectations: {seconds:.1f} s")
    config = ValidationConfig()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows, columns in arguments.sizes:
            reference = Profile.of(draw(rows, columns, folder / "reference.parquet", seed=1))
            catalog = draw(rows, columns, folder / "catalog.parquet", seed=2)
            _, profile = timed(lambda catalog=catalog: Profile.of(catalog))
            _, planned = timed(lambda c=catalog, r=reference: plan_checks(c, config, r, 0))
            result, total = timed(lambda c=catalog, r=reference: validate(c, config, folder / "out", r))
            print(
                f"{rows:,} x {columns}: {total:.1f} s for {len(result.checks)} checks; of these measuring "
                f"every row {planned:.1f} s, Great Expectations on {result.sampled_rows:,} rows and pages "
                f"{total - planned:.1f} s; profile for the bundle {profile:.1f} s"
            )
        for rows, columns in arguments.naive:
            reference = Profile.of(draw(rows, columns, folder / "reference.parquet", seed=1))
            catalog = draw(rows, columns, folder / "catalog.parquet", seed=2)
            result, total = timed(lambda c=catalog, r=reference: validate(c, config, folder / "out", r))
            alone = naive(catalog, reference)
            print(
                f"{rows:,} x {columns}: Great Expectations alone on every row {alone:.1f} s, "
                f"validate {total:.1f} s"
            )


if __name__ == "__main__":
    main()
