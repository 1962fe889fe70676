"""What the latent keeps of the items: neighbours, variance, columns, units; beside PCA and raw features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.config import EvaluateConfig
from streamrec.evaluation.neighbours import (
    Floats,
    Positions,
    Shares,
    draw_positions,
    label_overlap,
    nearest,
    neighbour_recall,
    pca,
    purity,
    unit_rows,
)
from streamrec.evaluation.quality import LatentQuality, SpaceQuality
from streamrec.layout import MISSING_STATE, ONE_HOT_SCALE, UNSEEN_CODE, FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.gaussian import kl_to_standard_normal
from streamrec.models.item_vae import ItemVAE

ACTIVE_VARIANCE = 0.01
"""A unit is active when its posterior mean varies more than this over the items (Burda et al. 2016)."""


def feature_matrix(rows: EncodedRows, layout: FeatureLayout) -> Floats:
    """The feature space (n, D): scaled numbers, one-hot categories and labels times `ONE_HOT_SCALE`."""
    parts = [rows.numbers, rows.labels * np.float32(ONE_HOT_SCALE)]
    for column, (_, size) in enumerate(layout.categorical):
        parts.append(np.eye(size, dtype=np.float32)[rows.categories[:, column]] * np.float32(ONE_HOT_SCALE))
    return np.concatenate(parts, axis=1)


@torch.no_grad()
def evaluate_latents(
    model: ItemVAE,
    codec: FeatureCodec,
    train: EncodedRows,
    held_out: EncodedRows,
    config: EvaluateConfig,
    seed: int,
) -> LatentQuality:
    """Measure the model on held-out items (m,), neighbours searched among them and training items.

    At most `config.queries` held-out items are queried among at most `config.reference_rows`; both samples
    are drawn by seed. PCA is fitted on the training items' feature space and reconstructs from it linearly.
    """
    rng = np.random.default_rng([seed, 2])
    held_out = held_out[draw_positions(rng, len(held_out), config.reference_rows)]
    others = train[draw_positions(rng, len(train), config.reference_rows - len(held_out))]
    rows = _concatenate(held_out, others)
    queries = draw_positions(rng, len(held_out), config.queries)
    k = min(config.k, len(rows) - 1)
    layout = codec.layout

    prepared = model.prepare(ItemBatch.from_arrays(rows))
    mean, log_variance = model.encode(prepared)
    decoded = model.decode(mean, prepared)
    latent = mean.numpy()
    features = feature_matrix(rows, layout)
    centre, components, _ = pca(feature_matrix(train, layout), latent.shape[1])
    projected = (features - centre) @ components.T
    linear = projected @ components + centre
    numbers = len(layout.numeric)
    reconstructed = {
        "latent": decoded.numbers.numpy(),
        "pca": linear[:, :numbers],
        "features": rows.numbers,
    }
    spaces = {"latent": latent, "pca": projected, "features": features}
    test = np.arange(len(held_out))
    kl = kl_to_standard_normal(mean, log_variance).mean(0)
    variance = latent.var(0)
    return LatentQuality(
        spaces={
            name: _space_quality(
                space,
                features,
                rows,
                layout,
                queries,
                k,
                _variance_kept(train, rows, test, reconstructed[name]),
            )
            for name, space in spaces.items()
        },
        columns=_columns(model, layout, train, rows, prepared, decoded, test),
        kl_per_unit=kl.tolist(),
        mean_variance=variance.tolist(),
        active_units=int((variance > ACTIVE_VARIANCE).sum()),
        queries=len(queries),
        reference=len(rows),
        k=k,
    )


def _space_quality(
    space: Floats,
    features: Floats,
    rows: EncodedRows,
    layout: FeatureLayout,
    queries: Positions,
    k: int,
    variance_kept: float | None,
) -> SpaceQuality:
    found = nearest(unit_rows(space), queries, k)
    euclidean = nearest(space, queries, k)
    overlap, start = {}, 0
    for name, size in layout.multi_label:
        overlap[name] = label_overlap(found, rows.labels[:, start : start + size], queries)
        start += size
    return SpaceQuality(
        neighbour_recall=neighbour_recall(found, features, queries),
        neighbour_recall_euclidean=neighbour_recall(euclidean, features, queries),
        variance_kept=variance_kept,
        purity={
            name: purity(found, rows.categories[:, column], queries)
            for column, (name, _) in enumerate(layout.categorical)
        },
        label_overlap=overlap,
    )


def _variance_kept(
    train: EncodedRows, rows: EncodedRows, test: Positions, reconstructed: Floats
) -> float | None:
    """1 - residual / within-category sum of squares over the test rows; None where there is none of these."""
    residual, within = within_category_squares(train, rows, test, reconstructed)
    total = within.sum()
    return float(1 - residual.sum() / total) if total > 0 else None


def within_category_squares(
    train: EncodedRows, rows: EncodedRows, test: Positions, reconstructed: Floats
) -> tuple[Shares, Shares]:
    """Squares (m,) of each test row's cells that are not missing: what is left after the reconstruction, and
    what there is about the mean of the row's category.

    Categories are those of the first categorical column, with the training rows' means; without one, all rows
    are one category.

    Args:
        train: rows behind the means.
        rows: (n,) rows.
        test: (m,) positions of those to measure.
        reconstructed: (n, N) scaled numbers of `rows` as the space gives them back.
    """
    groups = rows.categories[test, 0] if rows.categories.shape[1] else np.zeros(len(test), np.int64)
    train_groups = train.categories[:, 0] if train.categories.shape[1] else np.zeros(len(train), np.int64)
    present = train.states != MISSING_STATE
    size = int(max(groups.max(initial=0), train_groups.max(initial=0))) + 1
    sums = np.zeros((size, train.numbers.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, train_groups, np.where(present, train.numbers, 0))
    np.add.at(counts, train_groups, present)
    means = sums / np.maximum(counts, 1)
    cells = rows.states[test] != MISSING_STATE
    within = (((rows.numbers[test] - means[groups]) ** 2) * cells).sum(1, dtype=np.float64)
    residual = (((rows.numbers[test] - reconstructed[test]) ** 2) * cells).sum(1, dtype=np.float64)
    return residual, within


def _columns(
    model: ItemVAE,
    layout: FeatureLayout,
    train: EncodedRows,
    rows: EncodedRows,
    prepared: Any,
    decoded: Any,
    test: Positions,
) -> list[dict[str, Any]]:
    table = []
    for index, (name, size) in enumerate(layout.categorical):
        if name == model.config.condition:
            continue
        position = sum(n != model.config.condition for n, _ in layout.categorical[:index])
        targets = prepared.targets[test, index]
        known = targets >= 0
        logits = decoded.categories[position][test][known]
        nats = torch.nn.functional.cross_entropy(logits, targets[known]).item() if known.any() else 0.0
        counts = np.bincount(train.categories[:, index], minlength=size) + 1e-9
        # The decoder has no such class: the marginal must not spend probability on it either.
        counts[UNSEEN_CODE] = 0
        frequencies = (counts / counts.sum())[rows.categories[test, index][known.numpy()]]
        marginal = -np.log(frequencies).mean() if known.any() else 0.0
        correct = (logits.argmax(1) == targets[known]).float().mean().item() if known.any() else None
        table.append(_column(name, "category", nats, marginal, accuracy=correct))
    start = 0
    for name, size in layout.multi_label:
        where = slice(start, start + size)
        labels = rows.labels[test][:, where]
        logits = decoded.labels[test][:, where]
        nats = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels)).item()
        rate = np.clip(train.labels[:, where].mean(0), 1e-6, 1 - 1e-6)
        marginal = -(labels * np.log(rate) + (1 - labels) * np.log(1 - rate)).mean()
        correct = float(((logits.numpy() > 0) == (labels > 0.5)).all(1).mean())
        table.append(_column(name, "labels", nats, marginal, accuracy=correct))
        start += size
    for index, (name, _) in enumerate(layout.numeric):
        cells = rows.states[test, index] != MISSING_STATE
        values = rows.numbers[test, index][cells]
        means = decoded.numbers.numpy()[test, index][cells]
        trained = train.numbers[train.states[:, index] != MISSING_STATE, index]
        marginal = ((values - (trained.mean() if len(trained) else 0.0)) ** 2).mean() if len(values) else 0.0
        table.append(
            _column(name, "number", ((values - means) ** 2).mean() if len(values) else 0.0, marginal)
        )
    return table


def _column(name: str, kind: str, error: float, marginal: float, **more: float | None) -> dict[str, Any]:
    explained = 1 - float(error) / float(marginal) if marginal > 1e-9 else None
    return {"column": name, "kind": kind, "explained": explained, **more}


def _concatenate(first: EncodedRows, second: EncodedRows) -> EncodedRows:
    def both(kind: str) -> NDArray[Any]:
        return np.concatenate([getattr(first, kind), getattr(second, kind)])

    return EncodedRows(both("categories"), both("labels"), both("numbers"), both("states"))
