"""The figures by which a synthetic table is judged: their names, what is ideal, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from streamrec.evaluation.formats import ABSENT, number


@dataclass(frozen=True)
class Figure:
    """One figure of a table's quality."""

    key: str
    """Its name in `SyntheticQuality.figures` and in comparison.parquet."""
    label: str
    """Its name on the page."""
    group: str
    """What it is about."""
    ideal: float
    """The value that cannot be improved upon; minus infinity where less is always better."""
    meaning: str
    """One sentence for the page."""
    percent: bool = False
    """Written as a percentage; a share in the table."""
    chooses: bool = False
    """Counts when families are ranked."""

    def gap(self, value: float) -> float:
        """How far a value is from the ideal, at the precision with which it is written."""
        if not math.isfinite(self.ideal):
            return round(value, 2)
        return round(abs(value - self.ideal), 4 if self.percent else 3)

    def write(self, value: float | None) -> str:
        """The value as the page shows it; the unit is in `label`."""
        if value is None:
            return ABSENT
        if self.percent:
            return f"{100 * value:.2f}"
        if math.isfinite(self.ideal) and abs(value) < 10:
            return f"{value:.3f}".replace("-", "−")
        return number(value, 4)


FIGURES = (
    Figure(
        "shape_error",
        "Shape error, %",
        "Marginals",
        0,
        "Mean over columns and labels of the Kolmogorov-Smirnov statistic (numbers) or the total variation "
        "(categories, labels).",
        percent=True,
        chooses=True,
    ),
    Figure(
        "trend_error",
        "Trend error, %",
        "Dependence",
        0,
        "Mean over all pairs of half the difference of Pearson correlations (two numbers) or the total "
        "variation of the joint table (others; numbers cut at the real deciles).",
        percent=True,
        chooses=True,
    ),
    Figure(
        "precision",
        "Precision",
        "Support",
        1,
        "Share of synthetic rows inside the ball of a training row that reaches its fifth neighbour.",
        chooses=True,
    ),
    Figure(
        "recall",
        "Recall",
        "Support",
        1,
        "Share of training rows inside the ball of a synthetic row.",
        chooses=True,
    ),
    Figure(
        "density",
        "Density",
        "Support",
        1,
        "Training balls that hold a synthetic row, on average, over five.",
    ),
    Figure(
        "coverage",
        "Coverage",
        "Support",
        1,
        "Share of training balls that hold a synthetic row; grows with the rows.",
        chooses=True,
    ),
    Figure(
        "frechet_features",
        "Fréchet distance, features",
        "Fréchet",
        0,
        "Between normal distributions fitted to standardised numbers, one-hot categories and labels.",
    ),
    Figure(
        "frechet_latents",
        "Fréchet distance, latents",
        "Fréchet",
        0,
        "The same on the latents of the item encoder: the FID of tables.",
    ),
    Figure(
        "detection_auc",
        "Detection AUC",
        "Detection",
        0.5,
        "How well boosted trees tell synthetic from training rows, across three folds; 1 is without fail.",
        chooses=True,
    ),
    Figure(
        "utility_auc",
        "AUC of {category}",
        "Utility",
        1,
        "Macro one-vs-rest AUC on held-out rows of trees grown on the synthetic rows.",
        chooses=True,
    ),
    Figure(
        "utility_r2",
        "R² of {number}, ranked",
        "Utility",
        1,
        "Explained variance, on held-out rows, of the number's rank among training rows, by trees grown on "
        "the synthetic rows.",
    ),
    Figure(
        "utility_spearman",
        "Rank correlation of {number}",
        "Utility",
        1,
        "Spearman's correlation of the same predictions with the truth.",
    ),
    Figure(
        "closest_record_share",
        "Nearer to training rows",
        "Privacy",
        0.5,
        "Share of synthetic rows nearer to a training row than to as many held-out rows; 1 is copying.",
        chooses=True,
    ),
    Figure(
        "membership_auc",
        "Membership AUC",
        "Privacy",
        0.5,
        "How well nearness to a synthetic row tells training rows from held-out rows.",
    ),
    Figure(
        "copied_share",
        "Exact copies, %",
        "Privacy",
        0,
        "Share of synthetic rows equal to a training row in every column.",
        percent=True,
    ),
    Figure(
        "nll",
        "NLL, nats per item",
        "Likelihood",
        -math.inf,
        "Negative log-likelihood of held-out rows in original units, where the family has it.",
    ),
)
