"""`judge`: every figure of a synthetic table, and `floors`: the same figures of tables that need no model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.evaluation.synthetic.columns import Columns
from streamrec.evaluation.synthetic.dependence import trend_error, trend_errors
from streamrec.evaluation.synthetic.detection import detection_auc
from streamrec.evaluation.synthetic.frechet import frechet_distance
from streamrec.evaluation.synthetic.marginals import quantile_table, shape_errors
from streamrec.evaluation.synthetic.privacy import closest_record_share, copied_share, membership_auc
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.support import support
from streamrec.evaluation.synthetic.utility import category_auc, number_scores

Floats = NDArray[np.float64]

HOLDOUT = "real holdout"
"""Floor: rows that were held out, judged as if they were synthetic."""
INDEPENDENT = "independent marginals"
"""Floor: training rows with every column shuffled by itself."""


@dataclass(frozen=True)
class SyntheticQuality:
    """What one table was found to be."""

    rows: int
    figures: dict[str, float]
    """By `Figure.key`, shares and AUCs from 0 to 1; a figure without meaning here is not there."""
    columns: list[dict[str, Any]]
    """Per column or label: `column`, `kind`, `shape_error`, and `trend_error` averaged over its pairs."""
    quantiles: list[dict[str, Any]]
    """Per numeric column, as `quantile_table` has it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def judge(synthetic: pa.Table, reference: Reference, seed: int, nll: float | None = None) -> SyntheticQuality:
    """Every figure of a table (s,).

    Args:
        synthetic: the schema's feature columns; others are ignored.
        reference: real rows.
        seed: of the draws, the folds and the trees.
        nll: nats per held-out row under the model that made the table, where it has a likelihood.

    Raises:
        CatalogError: no such columns, values that a column cannot have, or fewer than six rows.
    """
    columns = Columns.of(synthetic, reference.train_columns.schema, train=reference.train_columns)
    points = reference.space.place(columns)
    members, others = reference.equal_sides(seed)
    figures = {
        **_utility(columns, reference, seed),
        "closest_record_share": closest_record_share(points, members, others),
        "membership_auc": membership_auc(points, members, others),
    }
    if nll is not None:
        figures["nll"] = nll
    return _quality(synthetic, columns, points, reference, seed, figures)


def floors(reference: Reference, n: int, seed: int) -> dict[str, SyntheticQuality]:
    """Two tables to read every figure by: `HOLDOUT` and `INDEPENDENT` (n,).

    Utility of the holdout is that of the training rows, tested on the holdout; what privacy compares with the
    holdout is left out. A share of the shape and trend errors of the holdout comes of its size alone.
    """
    columns = reference.held_out_columns
    taught = _utility(reference.train_columns, reference, seed)
    held_out = _quality(reference.held_out, columns, reference.held_out_points, reference, seed, taught)
    return {HOLDOUT: held_out, INDEPENDENT: judge(independent(reference.train, n, seed), reference, seed)}


def independent(table: pa.Table, n: int, seed: int) -> pa.Table:
    """`n` rows that have the columns' distributions and nothing else: each column shuffled by itself.

    For n equal to the table's rows (or a multiple) the distributions are the same exactly.
    """
    rng = np.random.default_rng([seed, 4])
    rounds = math.ceil(n / len(table))
    orders = [
        np.concatenate([rng.permutation(len(table)) for _ in range(rounds)])[:n] for _ in table.column_names
    ]
    taken = zip(table.column_names, orders, strict=True)
    return pa.table({name: table[name].take(pa.array(order)) for name, order in taken})


def _quality(
    table: pa.Table,
    columns: Columns,
    points: Floats,
    reference: Reference,
    seed: int,
    others: dict[str, float],
) -> SyntheticQuality:
    train = reference.train_columns
    shape, trend = shape_errors(train, columns), trend_errors(train, columns)
    raw = columns.matrix()
    figures = {
        "shape_error": float(shape.mean()),
        "trend_error": trend_error(trend),
        **support(reference.train_points, points, real_radii=reference.radii).to_dict(),
        "frechet_features": frechet_distance(reference.train_points, points),
        "detection_auc": detection_auc(train.matrix(), raw, seed),
        "copied_share": copied_share(raw, train.matrix()),
        **others,
    }
    if reference.latents is not None and reference.train_latents is not None:
        encoded = reference.latents(table.select(train.schema.feature_columns))
        figures["frechet_latents"] = frechet_distance(reference.train_latents, encoded)
    by_column = trend.sum(1) / max(len(trend) - 1, 1)
    per_column = [
        {"column": f.name, "kind": f.kind, "shape_error": float(s), "trend_error": float(t)}
        for f, s, t in zip(train.features, shape, by_column, strict=True)
    ]
    return SyntheticQuality(len(columns), figures, per_column, quantile_table(train, columns))


def _utility(columns: Columns, reference: Reference, seed: int) -> dict[str, float]:
    test, schema = reference.held_out_columns, columns.schema
    found: dict[str, float] = {}
    if reference.category is not None:
        name, index = reference.category, schema.categorical.index(reference.category)
        features, asked = columns.matrix(without=name), test.matrix(without=name)
        found["utility_auc"] = category_auc(
            features, columns.categories[:, index], asked, test.categories[:, index], seed
        )
    if reference.number is not None:
        name, index = reference.number, schema.numeric.index(reference.number)
        features, asked = columns.matrix(without=name), test.matrix(without=name)
        train = reference.train_columns.numbers[:, index]
        found["utility_r2"], found["utility_spearman"] = number_scores(
            features,
            _ranks_among(train, columns.numbers[:, index]),
            asked,
            _ranks_among(train, test.numbers[:, index]),
            seed,
        )
    return {key: value for key, value in found.items() if not math.isnan(value)}


def _ranks_among(train: Floats, values: Floats) -> Floats:
    """Share (n,) of the training values below each value, half of its equals counted; NaN stays.

    Squared errors of a number with a heavy tail are those of its few largest values.
    """
    known = np.sort(train[~np.isnan(train)])
    below, reached = (np.searchsorted(known, values, side=side) for side in ("left", "right"))
    return np.where(np.isnan(values), np.nan, (below + reached) / (2 * max(len(known), 1)))
