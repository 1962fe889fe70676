"""`Reference`: the real rows by which synthetic tables are judged, read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.errors import CatalogError
from streamrec.evaluation.neighbours import draw_positions
from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.distances import DistanceSpace, neighbour_distances
from streamrec.evaluation.synthetic.support import NEIGHBOURS
from streamrec.schema import FeatureSchema

Floats = NDArray[np.float64]
Encode = Callable[[pa.Table], NDArray[np.floating]]
"""Latents (n, d) of rows (n,)."""

MOST_CLASSES = 30
"""Categories of a target that is chosen for the user: trees are grown for each."""


@dataclass(frozen=True)
class Reference:
    """Real rows to judge by, and what is the same for every table that is judged."""

    train: pa.Table
    """The feature columns of the rows (n,) that the augmenters learnt from."""
    held_out: pa.Table
    """Those of rows (m,) that they did not."""
    train_columns: Columns
    held_out_columns: Columns
    space: DistanceSpace
    train_points: Floats
    held_out_points: Floats
    radii: Floats
    """Distance (n,) of each training row to its fifth neighbour."""
    category: str | None
    """Categorical column that utility predicts."""
    number: str | None
    """Numeric column that utility predicts."""
    latents: Encode | None
    train_latents: NDArray[np.floating] | None

    @classmethod
    def of(
        cls,
        train: pa.Table,
        held_out: pa.Table,
        schema: FeatureSchema,
        latents: Encode | None = None,
        category: str | None = None,
        number: str | None = None,
    ) -> Reference:
        """Read the real rows.

        Args:
            train: rows (n,) that the augmenters learn from.
            held_out: rows (m,) that they do not, disjoint from `train`.
            schema: its feature columns are judged.
            latents: encoder of rows, for the Fréchet distance of latents; none is taken without it.
            category: column whose prediction is the utility; the first categorical column of 2 to
                `MOST_CLASSES` values without it.
            number: the same for a number; the last numeric column that varies without it.

        Raises:
            CatalogError: a table without a feature column or with too few rows, or a target that the schema
                does not have in that role.
        """
        rows = _features("training", train, schema)
        others = _features("held-out", held_out, schema)
        _require_target(category, "categorical", schema.categorical)
        _require_target(number, "numeric", schema.numeric)
        columns = Columns.of(rows, schema)
        other_columns = Columns.of(others, schema, train=columns)
        space = DistanceSpace.of(columns)
        points = space.place(columns)
        return cls(
            train=rows,
            held_out=others,
            train_columns=columns,
            held_out_columns=other_columns,
            space=space,
            train_points=points,
            held_out_points=space.place(other_columns),
            radii=neighbour_distances(points, NEIGHBOURS),
            category=category or _category_target(columns),
            number=number or _number_target(columns),
            latents=latents,
            train_latents=None if latents is None else latents(rows),
        )

    def equal_sides(self, seed: int) -> tuple[Floats, Floats]:
        """Coordinates of as many training rows as held-out rows, drawn by seed."""
        size = min(len(self.train_points), len(self.held_out_points))
        rng = np.random.default_rng([seed, 1])
        members, others = (
            points[draw_positions(rng, len(points), size)]
            for points in (self.train_points, self.held_out_points)
        )
        return members, others


def _features(role: str, table: pa.Table, schema: FeatureSchema) -> pa.Table:
    absent = [name for name in schema.feature_columns if name not in table.column_names]
    if absent or len(table) <= NEIGHBOURS:
        found = f"no column '{absent[0]}'" if absent else f"{len(table)} rows"
        raise CatalogError(
            f"{role} rows to judge by: found {found}, expected the schema's feature columns and at least "
            f"{NEIGHBOURS + 1} rows; correct the schema or take more rows"
        )
    return table.select(schema.feature_columns)


def _require_target(name: str | None, role: str, known: tuple[str, ...]) -> None:
    if name is not None and name not in known:
        raise CatalogError(
            f"utility: found target '{name}', expected a {role} column of the schema; choose one of "
            f"{', '.join(known) or '(none)'}"
        )


def _category_target(columns: Columns) -> str | None:
    for codec, codes in zip(columns.category_codecs, columns.categories.T, strict=True):
        if 2 <= len(np.unique(codes)) <= MOST_CLASSES:
            return codec.name
    return None


def _number_target(columns: Columns) -> str | None:
    for name, values in zip(reversed(columns.schema.numeric), columns.numbers.T[::-1], strict=True):
        present = values[~np.isnan(values)]
        if len(present) and np.ptp(present) > 0:
            return name
    return None
