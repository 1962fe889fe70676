"""Tables of a few columns of every role, drawn or given, read as the metrics read them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streamrec.evaluation.synthetic.columns import Columns
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(
    item_id="id", categorical=("colour", "size"), multi_label=("tags",), numeric=("price", "stock", "age")
)


def mixed_table(rows: int, seed: int, missing: float = 0.1) -> pa.Table:
    """Dependent columns: skewed, whole and repeated numbers, missing cells, tags tied to the colour."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["blue", "green", "red"], rows, p=[0.5, 0.3, 0.2])
    price = np.exp(rng.normal(0, 1, rows) + (colour == "red"))
    stock = np.maximum(rng.poisson(2, rows) - 2, 0).astype(float)
    age = 0.5 * np.log(price) + rng.normal(0, 1, rows)
    tags = [
        [tag for tag, share in (("new", 0.3), ("sale", 0.2 + 0.5 * (name == "red"))) if rng.random() < share]
        for name in colour
    ]
    gap = rng.random((4, rows)) < missing
    return pa.table(
        {
            "colour": pa.array(colour, mask=gap[0]),
            "size": rng.integers(1, 4, rows),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "price": pa.array(price, mask=gap[1]),
            "stock": pa.array(stock, mask=gap[2]),
            "age": pa.array(age, mask=gap[3]),
        }
    )


def mixed_columns(rows: int, seed: int, train: Columns | None = None, missing: float = 0.1) -> Columns:
    return Columns.of(mixed_table(rows, seed, missing), SCHEMA, train)


def number_columns(**numbers: list[float | None]) -> Columns:
    """Columns of numbers only."""
    schema = FeatureSchema(item_id="id", numeric=tuple(numbers))
    return Columns.of(pa.table({name: pa.array(v, pa.float64()) for name, v in numbers.items()}), schema)
