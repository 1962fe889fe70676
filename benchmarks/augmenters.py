"""Augmenters on News: every target figure beside the measured one and the floors.

    python benchmarks/augmenters.py [--families vae diffusion flow] [--steps N] [--seeds 3] [--one-fit]
                                    [--out FOLDER]

News is split 90/10 by `df.sample(frac=1, random_state=0)`; channel and weekday are categories, 45 columns are
numbers, `published` and `item_id` are left out. A table has 8,886 rows, as many as were trained on. Each
seed fits anew and draws one table; with `--one-fit`, all tables come from the fit of seed 0. Figures are
means over the seeds, with their range. The comparison, and the augmenters of the last fit, go to FOLDER.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

from news import NEWS, fit_encoder, news

from streamrec.augmenters.compare import fit_and_compare
from streamrec.augmenters.findings import lines, reason
from streamrec.augmenters.settings import AugmentersConfig, Family
from streamrec.console import align
from streamrec.evaluation.synthetic.comparison import Comparison, Summary, Trial
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.suite import SyntheticQuality

TARGETS = {
    "shape_error": (0.0, 0.010),
    "trend_error": (0.0, 0.009),
    "precision": (0.92, 1.0),
    "recall": (0.92, 1.0),
    "coverage": (0.95, 1.0),
    "detection_auc": (0.0, 0.75),
    "utility_auc": (0.970, 1.0),
    "closest_record_share": (0.47, 0.53),
}
"""Bounds that the best augmenter is to keep."""
TRAINING_SECONDS = 600


def targets(comparison: Comparison, labels: dict[str, str]) -> str:
    """A line per target: the floors, then each family's mean and range, marked where it is missed."""
    figures = {figure.key: figure for figure in FIGURES}

    def cell(key: str, found: Summary | None, judged: bool) -> str:
        if found is None:
            return "–"
        write, (low, high) = figures[key].write, TARGETS[key]
        text = write(found.mean)
        if found.high > found.low:
            text += f" ({write(found.low)} – {write(found.high)})"
        return text if not judged or low <= found.mean <= high else f"{text} missed"

    rows = [["", "target", *comparison.figures]]
    for key, (low, high) in TARGETS.items():
        write = figures[key].write
        target = f"{write(low)} – {write(high)}"
        cells = [
            cell(key, found.get(key), name in comparison.families)
            for name, found in comparison.figures.items()
        ]
        rows.append([labels[key], target, *cells])
    seconds = [comparison.costs[family]["training_seconds"].mean for family in comparison.families]
    told = [f"{value:.0f}{'' if value <= TRAINING_SECONDS else ' missed'}" for value in seconds]
    rows.append(["Training, s", f"up to {TRAINING_SECONDS}", *[""] * len(comparison.floors), *told])
    return align(rows)


def main() -> None:
    defaults = AugmentersConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=get_args(Family), default=defaults.families)
    parser.add_argument("--steps", type=int, default=defaults.fit.steps)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--one-fit", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not NEWS.exists():
        print(f"skipped: no table at {NEWS}")
        return
    folder = options.out or Path(tempfile.mkdtemp())
    fits, tables = (1, options.seeds) if options.one_fit else (options.seeds, 1)
    settings = AugmentersConfig.model_validate(
        {"families": options.families, "fit": {"steps": options.steps}, "seeds": tables}
    )
    split, schema = news()
    trials: list[Trial] = []
    floors: dict[str, list[SyntheticQuality]] = {}
    for seed in range(fits):
        encoder, seconds = fit_encoder(split, schema, seed)
        found = fit_and_compare(split, encoder, settings, seed, folder, encoder_seconds=seconds)
        trials += found.comparison.trials
        for name, qualities in found.comparison.floors.items():
            floors.setdefault(name, []).extend(qualities)
        print(f"seed {seed}:\n{align(lines(found.comparison, found.labels), indent=2)}", flush=True)
    comparison = Comparison(trials, floors)
    print(f"\n{len(split.train):,} rows, {options.steps:,} steps, {fits} fits, {tables} tables a fit")
    print(align(lines(comparison, found.labels)))
    print(f"\n{targets(comparison, found.labels)}\n\n{reason(comparison)}\n{folder}")


if __name__ == "__main__":
    main()
