"""Items that neither the ItemVAE nor the flow expects, and the columns that make them odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.drafts import Space
from streamrec.augmenters.rows import RowDrafter
from streamrec.catalog.encoded import EncodedRows
from streamrec.errors import BundleError, SamplingError
from streamrec.evaluation import formats
from streamrec.evaluation.evaluate import FittedEncoder
from streamrec.models.batch import ItemBatch
from streamrec.models.flow.likelihood import log_density
from streamrec.models.flow.model import FlowMatching
from streamrec.models.flow.solvers import rk4, uniform_grid
from streamrec.models.masked import log_prob
from streamrec.models.surprise import elbo_parts, residual_deviations
from streamrec.training.device import one_thread, resolve_device

Floats = NDArray[np.float64]
Progress = Callable[[int, int | None], None]

ODD_COLUMNS = 3
"""Columns named per item, at most."""
DENSITY_STEPS = 2
"""Steps of the density by rk4, four evaluations each. On 300 news items it ranks as 20 evaluations do
(Spearman .999), at two fifths of their time."""
DENSITY_ROWS = 512
"""Items whose density is computed at once."""

RANK, ELBO, KL, DENSITY = "rank", "elbo", "kl", "log_density"
ELBO_RANK, DENSITY_RANK = "elbo_rank", "log_density_rank"
ODD, ODD_NATS = "odd_columns", "odd_nats"
NATS = "nats."
"""What the names of the columns with a column's nats begin with."""


class Surprises(NamedTuple):
    """What the ItemVAE finds of items."""

    nats: Floats
    """(n, columns): expected -log p(column | z)."""
    divergence: Floats
    """(n,): KL(q(z | x) || p(z))."""

    @property
    def elbo(self) -> Floats:
        """(n,): evidence lower bound, in nats and encoded units."""
        return -self.nats.sum(1) - self.divergence


def anomalies(
    table: pa.Table,
    encoder: FittedEncoder,
    augmenter: TableAugmenter | None,
    seed: int,
    reference: pa.Table | None = None,
    progress: Progress | None = None,
) -> pa.Table:
    """Items (n,), the oddest first.

    Columns: the item's id; `rank`, the mean of the ranks that follow, 1 the oddest; `elbo` (nats) and
    `elbo_rank`; with an augmenter `log_density` (nats) and `log_density_rank`; `kl`; `odd_columns` and
    `odd_nats`, the columns whose cells are most surprising and by how many nats more than the median item's
    in that column; `nats.<column>`, the parts of the bound: it is less their sum and `kl`.

    Densities are those of the models' own units, scaled numbers and scores, and not of the table's: there
    an item with a large number in a long-tailed column would be odd for its unit alone.

    Args:
        table: items with ids and the encoder's feature columns.
        encoder: codec and ItemVAE.
        augmenter: of the family flow and the same codec; None: the ItemVAE alone judges.
        seed: of the draws of latents.
        reference: items that say what is usual; None: `table` itself.
        progress: told items done and all.

    Raises:
        CatalogError: a column is absent or holds values of another kind.
        SamplingError: the augmenter is of another family.
        BundleError: it belongs to another codec.
    """
    codec = encoder.codec
    if augmenter is not None and augmenter.codec.fingerprint != codec.fingerprint:
        raise BundleError(
            f"augmenter {augmenter.family}: belongs to codec {augmenter.codec.fingerprint}, the encoder to "
            f"{codec.fingerprint}; use those of one run"
        )
    rows = codec.encode(table)
    usual = rows if reference is None else codec.encode(reference)
    with one_thread(resolve_device("cpu")):
        items = ItemBatch.from_arrays(usual)
        deviations = residual_deviations(encoder.model, items, seed)
        known = _surprises(encoder, usual, deviations, seed)
        found = known if usual is rows else _surprises(encoder, rows, deviations, seed)
        columns: dict[str, object] = {ELBO: found.elbo, ELBO_RANK: _ranks(found.elbo)}
        ranks = _ranks(found.elbo)
        if augmenter is not None:
            densities = flow_log_density(augmenter, rows, progress)
            columns |= {DENSITY: densities, DENSITY_RANK: _ranks(densities)}
            ranks = (ranks + _ranks(densities)) / 2
    # `nats` has the layout's order: categories, multi-labels, numbers, which is the schema's.
    names = np.array(codec.schema.feature_columns)
    surprise = found.nats - np.median(known.nats, axis=0)
    order = np.argsort(-surprise, axis=1, kind="stable")[:, :ODD_COLUMNS]
    parts = {f"{NATS}{name}": found.nats[:, column] for column, name in enumerate(names)}
    columns |= {
        KL: found.divergence,
        ODD: pa.array(names[order].tolist(), pa.list_(pa.string())),
        ODD_NATS: pa.array(np.take_along_axis(surprise, order, 1).tolist(), pa.list_(pa.float64())),
        **parts,
    }
    item_id = codec.schema.item_id
    odd = pa.table({item_id: table[item_id], RANK: ranks, **columns})
    return odd.take(pa.array(np.lexsort((found.elbo, ranks))))


def flow_log_density(
    augmenter: TableAugmenter, rows: EncodedRows, progress: Progress | None = None
) -> Floats:
    """Log density (n,) of encoded rows in nats, numbers in scores: what `log_prob` finds, made affordable.

    A repeated value counts with its share and stands in the middle of its interval, so nothing is drawn;
    the density takes few steps, its trace is exact.

    Raises:
        SamplingError: the family is not flow.
    """
    drafter = augmenter.drafter
    if not isinstance(drafter, RowDrafter) or not isinstance(drafter.vectors, FlowMatching):
        raise SamplingError(f"{augmenter.family}: has no density of rows; use the family flow")
    space = augmenter.space
    codes = torch.from_numpy(space.codes(rows))
    found = (
        np.zeros(len(rows))
        if drafter.discrete is None
        else log_prob(drafter.discrete, codes).double().numpy()
    )
    scores, shares = _middle(space, rows)
    found = found + shares
    for start in range(0, len(rows), DENSITY_ROWS):
        block = slice(start, start + DENSITY_ROWS)
        velocity = drafter.vectors.velocity(space.columns.one_hot(codes[block]), 0.0)
        densities = log_density(velocity, torch.from_numpy(scores[block]), rk4, uniform_grid(DENSITY_STEPS))
        found[block] += densities.double().numpy()
        if progress is not None:
            progress(min(start + DENSITY_ROWS, len(rows)), len(rows))
    return found


def _middle(space: Space, rows: EncodedRows) -> tuple[NDArray[np.float32], Floats]:
    """Scores (n, N) with repeated values in the middle of their intervals, and the nats (n,) that adds."""
    ranks = space.ranks(rows)
    low, high = ranks.low.astype(np.float64), ranks.high.astype(np.float64)
    spread = high > low
    scores = np.where(spread, ndtri(np.clip((low + high) / 2, 1e-6, 1 - 1e-6)), ranks.scores)
    normal = -0.5 * scores**2 - 0.5 * np.log(2 * np.pi)
    shares = np.log(np.maximum(high - low, 1e-12)) - normal
    return scores.astype(np.float32), np.where(spread, shares, 0.0).sum(1)


def _surprises(encoder: FittedEncoder, rows: EncodedRows, deviations: torch.Tensor, seed: int) -> Surprises:
    nats, divergence = elbo_parts(encoder.model, ItemBatch.from_arrays(rows), deviations, seed)
    return Surprises(nats.double().numpy(), divergence.double().numpy())


def _ranks(values: Floats) -> Floats:
    """1 for the lowest; equal values share their mean rank."""
    return np.asarray(rankdata(values), np.float64)


def anomaly_lines(found: pa.Table, items: pa.Table, item_id: str) -> list[tuple[str, ...]]:
    """A header and a line per odd item: id, rank, bound, density, and its odd columns with their cells.

    Args:
        found: rows of what `anomalies` returned.
        items: the table it was asked of.
        item_id: name of the id column.
    """
    rows = {value: row for row, value in enumerate(items[item_id].to_pylist())}
    dense = DENSITY in found.column_names
    lines: list[tuple[str, ...]] = [
        (item_id, "rank", "ELBO", *(["log density"] if dense else []), "odd in (nats more than usual)")
    ]
    for item in found.to_pylist():
        cells = items.slice(rows[item[item_id]], 1).to_pylist()[0]
        odd = ", ".join(
            f"{name} = {formats.cell(cells[name])} ({nats:+.1f})"
            for name, nats in zip(item[ODD], item[ODD_NATS], strict=True)
            if nats > 0
        )
        density = [f"{item[DENSITY]:.1f}"] if dense else []
        lines.append((str(item[item_id]), f"{item[RANK]:g}", f"{item[ELBO]:.1f}", *density, odd))
    return lines
