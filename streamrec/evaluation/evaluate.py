"""`evaluate_item_encoder`: numbers, examples and pictures of a fitted encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.catalog.split import split_items
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig
from streamrec.evaluation import plots
from streamrec.evaluation.explore import interpolation, neighbour_examples, prior_samples
from streamrec.evaluation.latents import ACTIVE_VARIANCE, evaluate_latents
from streamrec.evaluation.neighbours import Floats, Positions, draw_positions, pca, unit_rows
from streamrec.evaluation.outputs import (
    FIRST,
    INTERPOLATION,
    LAST,
    NEIGHBOURS,
    PATH,
    PICTURES,
    QUALITY,
    SAMPLES,
)
from streamrec.evaluation.quality import LatentQuality
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.training.history import History

EXAMPLES = 10
"""Held-out items whose neighbours are written."""
EXAMPLE_NEIGHBOURS = 5
"""Neighbours of each."""
MAP_POINTS = 6_000
"""Items drawn in the map of the latents."""
PATH_NUMBERS = 6
"""Numbers drawn along the interpolation: those that change most, in scaled units."""
PATH_WORDS = 4
"""Categories and labels drawn along it."""


class FittedEncoder(Protocol):
    """A codec and the model trained on its output (`retrieval.encoder.ItemEncoder`)."""

    codec: FeatureCodec
    model: ItemVAE


def evaluate_item_encoder(
    catalog: Catalog,
    encoder: FittedEncoder,
    history: History,
    config: RunConfig,
    folder: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> LatentQuality:
    """Measure the encoder on the items that its training held out.

    Writes into `folder`: `latents.json` (what is returned), `prior_samples.parquet`, `neighbours.parquet`,
    `interpolation.parquet`, and `training.svg`, `units.svg`, `map.svg`, `columns.svg`, `interpolation.svg`.
    The same arguments give the same bytes on CPU. `progress` is told the steps done, of three.
    """
    step = progress or (lambda done, total: None)
    folder.mkdir(parents=True, exist_ok=True)
    codec, model, seed = encoder.codec, encoder.model, config.seed
    train, held_out = split_items(catalog, config)
    encoded, encoded_held_out = codec.encode(train), codec.encode(held_out)
    step(0, 3)
    quality = evaluate_latents(model, codec, encoded, encoded_held_out, config.evaluate, seed)
    (folder / QUALITY).write_text(json.dumps(quality.to_dict(), indent=1) + "\n", encoding="utf-8")
    step(1, 3)

    rng = np.random.default_rng([seed, 4])
    held_out = held_out.take(draw_positions(rng, len(held_out), config.evaluate.reference_rows))
    train = train.take(draw_positions(rng, len(train), config.evaluate.reference_rows - len(held_out)))
    items = pa.concat_tables([held_out, train]).combine_chunks()
    rows = codec.encode(items)
    latents = model.embed(ItemBatch.from_arrays(rows)).numpy()
    queries = rng.permutation(len(held_out))[:EXAMPLES]

    samples = prior_samples(model, codec, EXAMPLES, seed, rows)
    pq.write_table(samples, folder / SAMPLES)
    neighbours = neighbour_examples(items, latents, catalog.schema.item_id, queries, EXAMPLE_NEIGHBOURS)
    pq.write_table(neighbours, folder / NEIGHBOURS)
    ends = _far_apart(latents[: len(held_out)], int(queries[0]))
    _, path = interpolation(model, codec, rows[ends])
    first, last = items[catalog.schema.item_id].take(pa.array(ends))
    named = path.append_column(FIRST, pa.repeat(first, len(path)))
    pq.write_table(named.append_column(LAST, pa.repeat(last, len(path))), folder / INTERPOLATION)
    step(2, 3)

    active = [variance > ACTIVE_VARIANCE for variance in quality.mean_variance]
    pictures = (
        plots.training_curves(history.epochs, history.best_epoch),
        plots.unit_rates(quality.kl_per_unit, active),
        _map(items, latents, codec, rng),
        plots.column_bars(quality.columns),
        _path(path, codec),
    )
    for name, figure in zip(PICTURES, pictures, strict=True):
        (folder / name).write_bytes(plots.to_svg(figure))
    step(3, 3)
    return quality


def _far_apart(latents: Floats, first: int) -> Positions:
    """An item and the one whose direction is farthest from its own."""
    units = unit_rows(latents)
    return np.array([first, int(np.argmin(units @ units[first]))])


def _map(items: pa.Table, latents: Floats, codec: FeatureCodec, rng: np.random.Generator) -> Figure:
    """The latents' principal plane, coloured by the first category, else a common label, else a number."""
    chosen = draw_positions(rng, len(items), MAP_POINTS)
    _, _, points = pca(latents, 2)
    points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    shares = points.var(0) / max(float(latents.var(0).sum()), 1e-12)
    schema = codec.schema
    if schema.categorical:
        name, column = schema.categorical[0], items[schema.categorical[0]]
    elif codec.layout.label_width:
        first = next(coder for coder in codec.labels if len(coder.vocabulary))
        name = f"{first.name}: {first.vocabulary[0]}"
        column = pa.chunked_array([pa.array(codec.encode(items).labels[:, 0] > 0.5)])
    else:
        name = schema.numeric[0]
        column = items[name].cast(pa.float64())
    return plots.latent_map(points[chosen], column.take(pa.array(chosen)), name, shares.tolist())


def _path(path: pa.Table, codec: FeatureCodec) -> Figure:
    rows: EncodedRows = codec.encode(path)
    moved = np.ptp(rows.numbers, axis=0)
    names = [codec.schema.numeric[column] for column in np.argsort(-moved, kind="stable")[:PATH_NUMBERS]]
    words = [*codec.schema.categorical, *codec.schema.multi_label_names][:PATH_WORDS]
    return plots.path_lines(
        path[PATH].to_pylist(),
        {name: path[name].to_pylist() for name in names},
        {name: [_in_words(value) for value in path[name].to_pylist()] for name in words},
    )


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    return "(missing)" if value is None else str(value)
