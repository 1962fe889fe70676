"""`fit_and_compare`: fit families on the training rows, draw tables of each, and judge them side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.settings import AugmentersConfig, Family
from streamrec.augmenters.store import load_augmenter
from streamrec.catalog.split import ItemSplit
from streamrec.evaluation.evaluate import FittedEncoder
from streamrec.evaluation.neighbours import draw_positions
from streamrec.evaluation.synthetic.comparison import Comparison, Trial
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.page import write_comparison
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.suite import SyntheticQuality, floors, judge
from streamrec.models.batch import ItemBatch

Progress = Callable[[int, int | None], None]
Kept = Callable[[Family, Callable[[], list[Trial]]], list[Trial]]
"""Gives the trials of a family whose augmenter is in its folder already, or else those that are made."""

NLL_ROWS = 500
"""Held-out rows whose likelihood is computed, at most: an exact trace takes a pass per column."""
COUNTED_ROWS = 16
"""Rows drawn to count the evaluations of the network."""
FIT_UNITS, TABLE_UNITS = 80, 20
"""What of the progress of a family is its fit, and what its tables."""


@dataclass(frozen=True)
class Compared:
    """Fitted families and what was found of them."""

    comparison: Comparison
    labels: dict[str, str]
    """By key: each figure's name, with the columns that utility predicts."""
    folder: Path
    """`<family>/` of each, and the comparison as Parquet and HTML."""

    @property
    def best(self) -> Path:
        """Folder of the family that was chosen."""
        return self.folder / self.comparison.best


def fit_and_compare(
    split: ItemSplit,
    encoder: FittedEncoder,
    settings: AugmentersConfig,
    seed: int,
    folder: Path,
    encoder_seconds: float = 0.0,
    progress: Progress | None = None,
    kept: Kept = lambda family, make: make(),
) -> Compared:
    """Fit every family of `settings` on the training rows and judge `settings.seeds` tables of each.

    Written into `folder`: each family's augmenter in a folder of its name, `comparison.parquet` and
    `comparison.html`. A table has as many rows as there are training rows, and is judged by as many of
    them, at most `settings.rows`. The same arguments give the same rows and figures on CPU; times differ.

    Args:
        split: training rows and held-out rows.
        encoder: of the run: families of latents draw its latents, and tables are compared in them.
        settings: which families, and how they are fitted.
        seed: of everything random; table i is drawn and judged with seed + i.
        folder: where to.
        encoder_seconds: what training the encoder took, added to the families that need it.
        progress: told units done and in all, a hundred per family.
        kept: is asked for each family before it is fitted.

    Raises:
        CatalogError: too few rows to fit or to judge.
        TrainingError: a loss was not finite.
    """
    tell = progress or (lambda done, total: None)
    seeds = [seed + table for table in range(settings.seeds)]
    total = (len(settings.families) + 1) * (FIT_UNITS + TABLE_UNITS)
    tell(0, total)
    reference = _reference(split, encoder, settings.rows, seed)
    size = len(reference.train)
    found_floors: dict[str, list[SyntheticQuality]] = {}
    for table_seed in seeds:
        for name, quality in floors(reference, size, table_seed).items():
            found_floors.setdefault(name, []).append(quality)
    rows = encoder.codec.encode(split.train)
    epochs = settings.fit.training(len(rows)).epochs
    drawn: dict[str, pa.Table] = {}

    def try_family(family: Family, start: int) -> list[Trial]:
        def trained(epoch: dict[str, float]) -> None:
            tell(start + int(FIT_UNITS * min(epoch["epoch"] / epochs, 1)), total)

        begun = time.perf_counter()
        augmenter = fit_augmenter(family, rows, encoder.codec, settings, seed, encoder.model, [trained])
        seconds = time.perf_counter() - begun
        seconds += encoder_seconds if needs_encoder(family) else 0.0
        augmenter.save(folder / family)
        nll, steps = held_out_nll(augmenter, reference.held_out, seed), evaluations(augmenter)
        trials = []
        for number, table_seed in enumerate(seeds):
            begun = time.perf_counter()
            table = augmenter.sample(size, seed=table_seed)
            sampling = time.perf_counter() - begun
            quality = judge(table, reference, table_seed, nll)
            trials.append(Trial(family, table_seed, quality, seconds, sampling, steps))
            drawn.setdefault(family, table)
            tell(start + FIT_UNITS + TABLE_UNITS * (number + 1) // len(seeds), total)
        return trials

    trials: list[Trial] = []
    for index, family in enumerate(settings.families):
        start = (index + 1) * (FIT_UNITS + TABLE_UNITS)
        tell(start, total)
        trials += kept(family, partial(try_family, family, start))
        tell(start + FIT_UNITS + TABLE_UNITS, total)
    comparison = Comparison(trials, found_floors)
    best = comparison.best
    if best not in drawn:
        drawn[best] = load_augmenter(folder / best).sample(size, seed=seeds[0])
    write_comparison(folder, comparison, reference, drawn[best])
    labels = {f.key: f.label.format(category=reference.category, number=reference.number) for f in FIGURES}
    return Compared(comparison, labels, folder)


def needs_encoder(family: Family) -> bool:
    """Whether a family draws latents of the run's ItemVAE."""
    return family not in ("diffusion", "flow")


def held_out_nll(augmenter: TableAugmenter, held_out: pa.Table, seed: int) -> float | None:
    """Mean negative log-likelihood, in nats per row and the table's units, of at most `NLL_ROWS` rows.

    Rows with a category that no training row had are left out, whatever the family: no family can make them.
    None where the family has no likelihood, or no row is left.
    """
    if not augmenter.capabilities.log_prob:
        return None
    columns = augmenter.space.columns
    codes = torch.from_numpy(augmenter.space.codes(augmenter.codec.encode(held_out)))
    strange = columns.one_hot(codes)[:, ~columns.possible].any(1).numpy()
    rows = np.flatnonzero(~strange)
    if len(rows) == 0:
        return None
    chosen = rows[draw_positions(np.random.default_rng([seed, 7]), len(rows), NLL_ROWS)]
    found = -float(augmenter.log_prob(held_out.take(pa.array(chosen)), seed).mean())
    return found if math.isfinite(found) else None


def evaluations(augmenter: TableAugmenter) -> int | None:
    """Evaluations of the network that drawing a row takes; None where no network is walked in steps."""
    vectors = getattr(augmenter.drafter, "vectors", None)
    if vectors is None:
        return None
    rows = 0

    def count(network: nn.Module, inputs: tuple[object, ...]) -> None:
        nonlocal rows
        rows += len(inputs[0])  # type: ignore[arg-type]

    watched = vectors.network.register_forward_pre_hook(count)
    try:
        augmenter.drafter.draft(augmenter.space.given(COUNTED_ROWS, None), seed=0)
    finally:
        watched.remove()
    return rows // COUNTED_ROWS


def _reference(split: ItemSplit, encoder: FittedEncoder, rows: int, seed: int) -> Reference:
    def latents(table: pa.Table) -> NDArray[np.floating]:
        return np.asarray(encoder.model.embed(ItemBatch.from_arrays(encoder.codec.encode(table))))

    rng = np.random.default_rng([seed, 8])
    train, held_out = (table.take(pa.array(draw_positions(rng, len(table), rows))) for table in split)
    return Reference.of(train, held_out, encoder.codec.schema, latents)
