"""`DensityRatio`: log of real over synthetic density, learned by boosted trees, and rows thinned by it.

The logit of a classifier of real against synthetic rows is the log ratio of their densities (Sugiyama, Suzuki
and Kanamori, "Density ratio estimation in machine learning", 2012). Synthetic rows kept in proportion to it
are distributed as real ones, as far as the classifier can tell (Azadi et al., "Discriminator rejection
sampling", 2019). A row's ratio is the same where rows are made under a condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.tree import DecisionTreeRegressor

from streamrec.augmenters.refinement.forest import TreeArrays
from streamrec.augmenters.refinement.inputs import Floats
from streamrec.errors import SamplingError

Logs = NDArray[np.float64]

TREES = 100
"""Trees of a round."""
DEPTH = 8
MIN_LEAF = 20
"""Rows of a leaf at least."""
SPLIT_FEATURES = 0.3
"""Share of the features that a split looks at."""
LEARNING_RATE = 0.1
"""Share of Newton's step that a tree takes."""
REAL_ROWS = 10_000
"""Real rows that a tree is grown on at most; half of them where there are fewer than twice as many."""
SYNTHETIC_ROWS = 2
"""Synthetic rows that it is grown on for each real one, at most."""
PRIOR = 1.0
"""Curvature that a leaf has besides that of its rows: small leaves take small steps."""

LEAST = -600.0
"""Log ratios further below the highest are taken for equal: their exponentials have no digits left."""


@dataclass(frozen=True)
class DensityRatio:
    """Trees whose values add up to the log ratio."""

    trees: TreeArrays

    @classmethod
    def fit(
        cls, real: Floats, synthetic: Floats, rounds: int, seed: int, log_ratio: Logs | None = None
    ) -> DensityRatio:
        """Tell real from synthetic rows `rounds` times, each time weighted by the ratio found so far.

        A round starts anew on the weighted rows: it finds what is left, and brings the weighted rows back to
        the shares of the real ones. Within it, trees are boosted by Newton's steps (Friedman, Hastie and
        Tibshirani, "Additive logistic regression", 2000), each grown on rows drawn for it (Friedman,
        "Stochastic gradient boosting", 2002).

        Args:
            real: features of real rows (n, F).
            synthetic: features of rows of the model (m, F), best several times n. Thin others by the result:
                trees know the rows that they were grown on.
            rounds: rounds of `TREES` trees.
            seed: of the rows that trees are grown on, and of their splits.
            log_ratio: what weighs the synthetic rows (m,) before the first round; the result is to be added
                to it.

        Raises:
            SamplingError: fewer than two rows on either side.
        """
        if min(len(real), len(synthetic)) < 2:
            raise SamplingError(
                f"density ratio: found {len(real)} real and {len(synthetic)} synthetic rows, expected two of "
                "each at least; fit on more rows, or without the ratio"
            )
        rng = np.random.default_rng([seed, 2])
        found = np.zeros(len(synthetic)) if log_ratio is None else log_ratio.astype(np.float64)
        rows = np.concatenate([real, synthetic], dtype=np.float32)
        grown: list[DecisionTreeRegressor] = []
        values = [np.empty(0)]
        for _ in range(rounds):
            trees, steps, logit = _boost(rows, len(real), found, rng)
            grown += trees
            values += steps
            found += logit[len(real) :]
        return cls(replace(TreeArrays.of(grown), value=np.concatenate(values)))

    def log_ratio(self, rows: Floats) -> Logs:
        """Log of real over synthetic density (n,) at features (n, F), in nats, up to a constant."""
        return self.trees.predict(rows)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for safetensors."""
        return self.trees.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DensityRatio:
        """Inverse of `to_arrays`.

        Raises:
            BundleError: an array is absent, or they are not arrays of trees.
        """
        return cls(TreeArrays.from_arrays(arrays))


def thin(log_ratio: Logs, n: int, seed: int) -> NDArray[np.int64]:
    """Positions (n,), rising, of n of the rows (m,), none twice, each in proportion to its ratio.

    Systematic sampling in a random order (Madow 1949): a row's probability is n times its share of the ratios
    exactly, or 1 where that is above 1.

    Raises:
        SamplingError: fewer than n rows.
    """
    rows = len(log_ratio)
    if n > rows:
        raise SamplingError(
            f"thinning: found {rows} candidates for {n} rows, expected at least as many; draw more"
        )
    if n == 0:
        return np.empty(0, np.int64)
    order = np.argsort(-log_ratio, kind="stable")
    weights = np.exp(np.maximum(log_ratio[order] - log_ratio[order[0]], LEAST))
    rest = np.cumsum(weights[::-1])[::-1]
    # As few of the largest as can be are certain: no other row is as long as the step between two ticks.
    too_large = (n - np.arange(rows)) * weights * (1 + 1e-9) > rest
    certain = int(np.argmin(too_large)) if n < rows else n
    rng = np.random.default_rng([seed, 3])
    others = certain + rng.permutation(rows - certain)
    ticks = rng.random() + np.arange(n - certain)
    taken = order[:certain]
    if len(ticks):
        reached = np.cumsum(weights[others])
        found = np.searchsorted(reached * ((n - certain) / reached[-1]), ticks, side="right")
        taken = np.concatenate([taken, order[others[np.minimum(found, len(others) - 1)]]])
    return np.sort(taken)


def effective_rows(log_ratio: Logs) -> float:
    """Kish's effective number of rows (m,) weighted by their ratios: m where all are equal."""
    weights = np.exp(log_ratio - log_ratio.max(initial=-np.inf))
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def _boost(
    rows: Floats, real: int, log_weights: Logs, rng: np.random.Generator
) -> tuple[list[DecisionTreeRegressor], list[Logs], Logs]:
    """Trees that tell the first `real` rows from the weighted others, values of their nodes, logits."""
    share = np.exp(log_weights - log_weights.max())
    share /= share.sum()
    weights = np.concatenate([np.ones(real), real * share])
    labels = np.arange(len(rows)) < real
    shown = min(-(-real // 2), REAL_ROWS)
    against = min(SYNTHETIC_ROWS * shown, int(np.count_nonzero(share)))
    sides = np.repeat([1.0, shown / against], [shown, against])
    logit = np.zeros(len(rows))
    grown, values = [], []
    for _ in range(TREES):
        probability = expit(logit)
        slope, curvature = labels - probability, np.maximum(probability * (1 - probability), 1e-6)
        drawn = np.concatenate(
            [
                rng.choice(real, shown, replace=False),
                real + rng.choice(len(share), against, replace=False, p=share),
            ]
        )
        tree = DecisionTreeRegressor(
            max_depth=DEPTH,
            min_samples_leaf=MIN_LEAF,
            max_features=SPLIT_FEATURES,
            random_state=int(rng.integers(2**31)),
        )
        tree.fit(rows[drawn], slope[drawn] / curvature[drawn], sample_weight=sides * curvature[drawn])
        leaves, nodes = tree.apply(rows), tree.tree_.node_count
        slopes: Logs = np.bincount(leaves, weights * slope, nodes).astype(np.float64)
        steps = LEARNING_RATE * slopes / (np.bincount(leaves, weights * curvature, nodes) + PRIOR)
        logit += steps.take(leaves)
        grown.append(tree)
        values.append(steps)
    return grown, values, logit
