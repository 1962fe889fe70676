"""`RareLift`: what synthetic rows did to held-out real rows, seed by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from streamrec.evaluation import formats

REPORT, TABLE = "rare_lift.json", "augmented.parquet"
PURITY, RECALL, AUC = "neighbour_purity", "neighbour_recall", "classifier_auc"
CONFIDENCE = 0.95


class Lift(NamedTuple):
    """Mean over seeds of augmented minus real, and its two-sided 95% t interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, differences: Sequence[float]) -> Lift:
        """The lift of paired differences, at least two."""
        n = len(differences)
        mean, deviation = float(np.mean(differences)), float(np.std(differences, ddof=1))
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True)
class RareLift:
    """What synthetic rows of rare categories did to held-out real rows of them."""

    column: str
    target: int
    train_rows: dict[str, int]
    """Real training rows of each rare category."""
    held_out_rows: dict[str, int]
    """Held-out rows of each rare category that has some: what is asked."""
    seeds: tuple[int, ...]
    real: dict[str, tuple[float, ...]]
    """By measure: per seed, with the real rows alone."""
    repeated: dict[str, tuple[float, ...]]
    """By measure: per seed, with the real rows of the rare categories repeated up to the target: what more
    weight alone does."""
    augmented: dict[str, tuple[float, ...]]
    """By measure: per seed, with synthetic rows too."""
    table: pa.Table
    """What to train on: the real rows, and where `kept` the synthetic rows of the first seed."""

    @property
    def arms(self) -> dict[str, dict[str, tuple[float, ...]]]:
        """What was trained on, by name: per measure, a figure of each seed."""
        return {"real": self.real, "repeated": self.repeated, "augmented": self.augmented}

    @property
    def lifts(self) -> dict[str, Lift]:
        """By measure."""
        return {
            name: Lift.of([a - r for a, r in zip(self.augmented[name], real, strict=True)])
            for name, real in self.real.items()
        }

    @property
    def kept(self) -> bool:
        """Whether even the lower end of the interval of the purity's lift is above 0.

        The mean alone would keep half of the augmentations that do nothing.
        """
        return self.lifts[PURITY].low > 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without the table."""
        return {
            "column": self.column,
            "target": self.target,
            "train_rows": self.train_rows,
            "held_out_rows": self.held_out_rows,
            "seeds": list(self.seeds),
            **{
                arm: {name: list(values) for name, values in found.items()}
                for arm, found in self.arms.items()
            },
            "lifts": {name: lift._asdict() for name, lift in self.lifts.items()},
            "confidence": CONFIDENCE,
            "kept": self.kept,
        }

    def write(self, folder: Path) -> None:
        """Write `rare_lift.json` and `augmented.parquet` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        pq.write_table(self.table, folder / TABLE)

    def lines(self) -> list[tuple[str, ...]]:
        """A header and a line per measure: means over the seeds, the lift and its interval."""
        found: list[tuple[str, ...]] = [("", *self.arms, "lift", "95% interval")]
        for name, lift in self.lifts.items():
            means = (formats.number(float(np.mean(arm[name]))) for arm in self.arms.values())
            mean, low, high = (formats.number(value) for value in lift)
            found.append((name.replace("_", " "), *means, mean, f"{low} to {high}"))
        return found
