"""The preset `independent`: numbers drawn independently given the category; the density is exact.

With `G = 20` categories and `F = 30` numbers, the parameters are drawn once per seed,

    mean[g, j] ~ Uniform(-1, 1)          std[g, j] ~ Uniform(0.3, 1)

and every item, independently of the others, is

    item_id      item_0000000, item_0000001, ...
    category     g ~ Uniform{category_00, ..., category_19}
    feature_jj   x_j ~ Normal(mean[g, j], std[g, j]^2),   j = 00, ..., 29

so that `log p(g, x) = -log G + sum_j log Normal(x_j; mean[g, j], std[g, j]^2)`. Nothing is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.errors import CatalogError
from streamrec.schema import FeatureSchema

CATEGORIES = tuple(f"category_{g:02d}" for g in range(20))
NUMBERS = tuple(f"feature_{j:02d}" for j in range(30))
SCHEMA = FeatureSchema(item_id="item_id", categorical=("category",), numeric=NUMBERS)
ARROW_SCHEMA = pa.schema(
    [("item_id", pa.string()), ("category", pa.string()), *((name, pa.float64()) for name in NUMBERS)]
)


@dataclass(frozen=True)
class IndependentParameters:
    """True parameters of the preset."""

    log_prior: np.ndarray
    """(20,) float64: log probability of each category, in nats."""
    means: np.ndarray
    """(20, 30) float64: mean of each number given the category."""
    stds: np.ndarray
    """(20, 30) float64: standard deviation of each number given the category."""

    def arrays(self) -> dict[str, Any]:
        """What the truth file (npz) holds: the parameters and the names of their axes."""
        return {
            "categories": np.array(CATEGORIES),
            "numbers": np.array(NUMBERS),
            "log_prior": self.log_prior,
            "means": self.means,
            "stds": self.stds,
        }


def independent_parameters(seed: int) -> IndependentParameters:
    """The parameters of the table that `generate` makes with `preset="independent"` and this seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    shape = (len(CATEGORIES), len(NUMBERS))
    return IndependentParameters(
        log_prior=np.full(len(CATEGORIES), -np.log(len(CATEGORIES))),
        means=rng.uniform(-1.0, 1.0, shape),
        stds=rng.uniform(0.3, 1.0, shape),
    )


def draw(
    parameters: IndependentParameters, rng: np.random.Generator, start: int, rows: int
) -> pa.RecordBatch:
    """Items `start` to `start + rows`, in the columns of `ARROW_SCHEMA`."""
    groups = rng.integers(len(CATEGORIES), size=rows)
    values = rng.standard_normal((len(NUMBERS), rows))
    values *= parameters.stds.T[:, groups]
    values += parameters.means.T[:, groups]
    category = pa.array(CATEGORIES).take(pa.array(groups))
    return pa.record_batch([item_ids(start, rows), category, *map(pa.array, values)], schema=ARROW_SCHEMA)


def item_ids(start: int, rows: int) -> pa.Array:
    """`item_0000000`, ...: seven digits, more from the ten-millionth item on."""
    digits = pc.utf8_lpad(pa.array(np.arange(start, start + rows)).cast(pa.string()), 7, "0")
    return pc.binary_join_element_wise("item", digits, "_")


def independent_log_density(seed: int, table: pa.Table | pa.RecordBatch) -> np.ndarray:
    """True log density of each row under the preset `independent` with this seed.

    Args:
        seed: seed of the generator, not of the table: the rows may be anyone's.
        table: rows with the columns `category` and `feature_00` to `feature_29`, in any order.

    Returns:
        (n,) float64, nats: `log p(category) + sum_j log Normal(feature_j | category)`; `-inf` where the
        category is unknown or any cell is missing, since the generator makes no such row.

    Raises:
        CatalogError: a column is not there.
    """
    for name in ("category", *NUMBERS):
        if name not in table.schema.names:
            found = ", ".join(table.schema.names)
            raise CatalogError(
                f"no column '{name}' in the rows to judge; found {found}; give all 31 features"
            )
    parameters = independent_parameters(seed)
    codes = pc.index_in(_column(table, "category").cast(pa.string()), pa.array(CATEGORIES))
    known = pc.is_valid(codes).to_numpy(zero_copy_only=False)
    groups = pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)
    density = np.where(known, parameters.log_prior[groups], -np.inf)
    for j, name in enumerate(NUMBERS):
        value = _column(table, name).cast(pa.float64()).to_numpy(zero_copy_only=False)
        std = parameters.stds[groups, j]
        density -= 0.5 * ((value - parameters.means[groups, j]) / std) ** 2
        density -= np.log(std) + 0.5 * np.log(2 * np.pi)
    density[np.isnan(density)] = -np.inf
    return density


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    column = table.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
