"""Rare categories filled with conditional samples, and whether held-out real items gain by it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.lift import RareLift
from streamrec.augmenters.protocol import Augmenter
from streamrec.augmenters.rare_question import RareQuestion
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.catalog.codec import FeatureCodec
from streamrec.config import RunConfig
from streamrec.errors import CatalogError, ConfigError
from streamrec.schema import FeatureSchema

SYNTHETIC = "synthetic"
"""Boolean column that tells drawn rows from real ones."""
FIT_UNITS, SEED_UNITS = 50, 10
"""What of the progress is the flow's fit, and what each seed."""


def fill_rare(table: pa.Table, augmenter: Augmenter, column: str, target: int, seed: int) -> pa.Table:
    """The real rows, then samples of every category of `column` that has fewer than `target` rows.

    Missing cells are no category. In drawn rows, columns that no model reads (the id, the title) are null:
    they are no items.

    Args:
        table: real rows (n,), of a catalogue.
        augmenter: one that takes conditions.
        column: a categorical column.
        target: rows that each category is to have.
        seed: of the draws.

    Returns:
        The table's columns and a boolean column `synthetic`.

    Raises:
        ConfigError: no such categorical column, or no category below the target.
        CatalogError: the table has a column `synthetic` already, or a category that training never saw.
        SamplingError: the family takes no condition.
    """

    def draw(category: Any, n: int, category_seed: int) -> pa.Table:
        drawn = augmenter.sample(n, {column: category}, seed=category_seed)
        return drawn.cast(pa.schema([table.schema.field(name) for name in drawn.column_names]))

    return _fill(table, augmenter.schema, column, target, seed, draw)


def repeat_rare(table: pa.Table, schema: FeatureSchema, column: str, target: int, seed: int) -> pa.Table:
    """As `fill_rare`, by copies of the category's own rows, all copied as often give or take one.

    Raises:
        ConfigError, CatalogError: as `fill_rare`.
    """

    def draw(category: Any, n: int, category_seed: int) -> pa.Table:
        own = table.filter(pc.equal(table[column], pa.scalar(category, table[column].type)))
        return own.take(np.random.default_rng(category_seed).permutation(n) % len(own))

    return _fill(table, schema, column, target, seed, draw)


def _fill(
    table: pa.Table,
    schema: FeatureSchema,
    column: str,
    target: int,
    seed: int,
    draw: Callable[[Any, int, int], pa.Table],
) -> pa.Table:
    if SYNTHETIC in table.column_names:
        raise CatalogError(f"item table: found a column '{SYNTHETIC}', expected none; rename or drop it")
    counts = rare_categories(table, schema, column, target)
    seeds = np.random.SeedSequence([seed, 9]).generate_state(len(counts)).tolist()
    parts = [table.append_column(SYNTHETIC, pa.repeat(False, len(table)))]
    for (category, count), category_seed in zip(counts.items(), seeds, strict=True):
        drawn = draw(category, target - count, category_seed)
        parts.append(drawn.append_column(SYNTHETIC, pa.repeat(True, len(drawn))))
    return pa.concat_tables(parts, promote_options="default")


def rare_categories(table: pa.Table, schema: FeatureSchema, column: str, target: int) -> dict[Any, int]:
    """Rows of each category of `column` that has fewer than `target`, the rarest first.

    Raises:
        ConfigError: no such categorical column, or no such category.
    """
    if column not in schema.categorical:
        close = difflib.get_close_matches(column, schema.categorical, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"found {', '.join(schema.categorical) or 'none'}"
        raise ConfigError(f"augment: no categorical column '{column}'; {hint}")
    found = pc.value_counts(table[column].combine_chunks().drop_null()).to_pylist()
    counts = {entry["values"]: entry["counts"] for entry in found}
    rare = sorted((n, str(category), category) for category, n in counts.items() if n < target)
    if not rare:
        least = f"the rarest has {min(counts.values()):,}" if counts else "the column is empty"
        raise ConfigError(
            f"augment: no category of '{column}' has fewer than {target:,} training rows, {least}; "
            "raise the target"
        )
    return {category: n for n, _, category in rare}


def rare_lift(
    train: pa.Table,
    held_out: pa.Table,
    schema: FeatureSchema,
    config: RunConfig,
    settings: AugmentersConfig,
    column: str,
    target: int,
    seeds: Sequence[int],
    progress: Callable[[int, int | None], None] | None = None,
) -> RareLift:
    """Measure what filling the rare categories of `column` does to held-out real rows of them.

    A flow is fitted on the training rows with the first seed. Each seed then draws its own synthetic rows,
    and trains the ItemVAE with and without them, and with copies of the real rows in their place: same codec,
    fitted on the real rows, same settings, same initial draws. Queries are held-out rows of the rare
    categories; neighbours are searched by cosine among real rows only, so that synthetic rows cannot flatter
    themselves. All measures are means over the rare categories that have held-out rows:

    - `neighbour_purity`: share of the k (`config.evaluate`) neighbours that have the query's category;
    - `neighbour_recall`: share of them that are among the k nearest in the feature space;
    - `classifier_auc`: area under the ROC curve of boosted trees that tell the category from all others.

    The intervals are over trainings and draws of one flow and one split: they say nothing of other held-out
    rows. With synthetic rows an epoch has more steps, as with copies.

    Args:
        train, held_out: disjoint rows of a catalogue.
        schema: roles of the columns.
        config: of the run: codec, model, training, evaluation.
        settings: of the flow and its refinement.
        column, target: as in `fill_rare`.
        seeds: at least two, distinct.
        progress: told units done and in all.

    Raises:
        ConfigError: as `fill_rare`, or fewer than two distinct seeds.
        CatalogError: too few rows, or none held out of a rare category.
        TrainingError: a loss was not finite.
    """
    if len(set(seeds)) < max(2, len(seeds)):
        raise ConfigError(f"seeds: found {list(seeds)}, expected two or more, all different")
    counts = rare_categories(train, schema, column, target)
    codec = FeatureCodec.fit(train, schema, config.codec)
    question = RareQuestion.of(train, held_out, codec, config, column, list(counts), seeds[0])
    tell, total = progress or (lambda done, total: None), FIT_UNITS + SEED_UNITS * len(seeds)
    rows = codec.encode(train)
    epochs = settings.fit.training(len(rows)).epochs
    flow = fit_augmenter(
        "flow",
        rows,
        codec,
        settings,
        seeds[0],
        callbacks=[lambda epoch: tell(int(FIT_UNITS * min(epoch["epoch"] / epochs, 1)), total)],
    )
    real, repeated, augmented, first = [], [], [], None
    for number, seed in enumerate(seeds, 1):
        filled = fill_rare(train, flow, column, target, seed)
        first = filled if first is None else first
        real.append(question.answer(train, seed))
        repeated.append(question.answer(repeat_rare(train, schema, column, target, seed), seed))
        augmented.append(question.answer(filled, seed))
        tell(FIT_UNITS + SEED_UNITS * number, total)
    assert first is not None
    found = RareLift(
        column,
        target,
        {str(category): n for category, n in counts.items()},
        {str(category): len(positions) for category, positions in question.queries.items()},
        tuple(seeds),
        _by_measure(real),
        _by_measure(repeated),
        _by_measure(augmented),
        first,
    )
    return found if found.kept else replace(found, table=first.filter(pc.invert(first[SYNTHETIC])))


def _by_measure(trials: list[dict[str, float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(trial[name] for trial in trials) for name in trials[0]}
