"""What a latent space holds, as rows: prior samples, the way between two items, neighbours."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.evaluation.neighbours import Floats, Positions, nearest, unit_rows
from streamrec.evaluation.outputs import PATH, QUERY, RANK, SIMILARITY
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE


@torch.no_grad()
def reconstruct(
    model: ItemVAE, codec: FeatureCodec, latents: Tensor, given: EncodedRows | None = None
) -> pa.Table:
    """The most likely row (n,) of each latent (n, d): the schema's feature columns, in catalogue units.

    A conditional model takes its condition from `given`, items (n,).
    """
    items = None if given is None else ItemBatch.from_arrays(given)
    prepared = None if items is None else model.prepare(items)
    rows = model.most_likely(model.decode(latents, prepared), items)
    encoded = EncodedRows(
        rows.categories.numpy(), rows.labels.numpy(), rows.numbers.numpy(), rows.states.numpy()
    )
    return codec.decode(encoded)


def prior_samples(
    model: ItemVAE, codec: FeatureCodec, n: int, seed: int, condition: EncodedRows | None = None
) -> pa.Table:
    """The most likely rows (n,) of latents drawn from the prior N(0, I).

    They look like items where the aggregate posterior has come close to the prior. A conditional model takes
    the condition of each from a row of `condition`, drawn by seed.
    """
    latents = torch.randn(n, model.config.latent_dim, generator=torch.Generator().manual_seed(seed))
    if model.config.condition is None or condition is None:
        return reconstruct(model, codec, latents)
    drawn = np.random.default_rng([seed, 3]).integers(len(condition), size=n)
    return reconstruct(model, codec, latents, condition[drawn])


def interpolation(
    model: ItemVAE, codec: FeatureCodec, ends: EncodedRows, steps: int = 9
) -> tuple[Floats, pa.Table]:
    """Latents (steps, d) on the straight line between those of two items, and the most likely row of each.

    The table has the share of the way under `PATH`, 0 at the first item and 1 at the second; both ends are
    the items' reconstructions. A conditional model has the first item's condition on the first half.

    Args:
        model, codec: a fitted pair.
        ends: the two items (2,).
        steps: points on the way, the ends included.
    """
    share = torch.linspace(0, 1, steps)
    first, second = model.embed(ItemBatch.from_arrays(ends))
    latents = torch.outer(1 - share, first) + torch.outer(share, second)
    given = ends[(share > 0.5).long().numpy()]
    rows = reconstruct(model, codec, latents, given)
    return latents.numpy(), rows.add_column(0, PATH, pa.array(share.numpy(), pa.float64()))


def neighbour_examples(
    items: pa.Table, latents: Floats, item_id: str, queries: Positions, k: int
) -> pa.Table:
    """The items at `queries` (q,), each followed by its k nearest by cosine: (q (1 + k),) rows.

    Args:
        items: rows (n,) of the catalogue.
        latents: (n, d), of the same rows.
        item_id: name of the id column.
        queries: positions of the items asked for.
        k: neighbours of each, at most n - 1.

    Returns:
        The columns of `items` after `QUERY`, `RANK` and `SIMILARITY`.
    """
    units = unit_rows(latents)
    found = np.column_stack([queries, nearest(units, queries, min(k, len(items) - 1))])
    cosines = np.einsum("qkd,qd->qk", units[found], units[queries])
    asked = items[item_id].take(pa.array(np.repeat(queries, found.shape[1])))
    rows = items.take(pa.array(found.ravel()))
    return pa.table(
        {
            QUERY: asked,
            RANK: np.tile(np.arange(found.shape[1]), len(queries)),
            SIMILARITY: cosines.ravel().astype(np.float64),
            **{name: rows[name] for name in rows.column_names},
        }
    )
