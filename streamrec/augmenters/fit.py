"""`fit_augmenter`: from encoded training rows to a fitted augmenter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.drafts import Drafter, Space
from streamrec.augmenters.latents import LatentDecoder, LatentDrafter, VAEDrafter
from streamrec.augmenters.refinement.refinement import Refinement
from streamrec.augmenters.rows import RowDrafter
from streamrec.augmenters.scores import Ranks, ScoreMap
from streamrec.augmenters.settings import AugmentersConfig, Family
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.errors import CatalogError
from streamrec.models.batch import ItemBatch, ScoreBatch
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.flow.model import FlowMatching
from streamrec.models.item_vae import ItemVAE
from streamrec.models.masked import MaskedNetwork
from streamrec.training.device import one_thread, resolve_device
from streamrec.training.loop import Epoch, fit
from streamrec.training.masked import MaskedObjective
from streamrec.training.settings import TrainConfig
from streamrec.training.vectors import VectorObjective

LEAST_ROWS = 20
"""Fewer training rows teach a generative model nothing."""
POSTERIOR_ROWS = 20_000
"""Training rows whose posteriors the aggregated posterior is made of, at most."""
DISCRETE = TrainConfig(
    epochs=200, batch_size=512, learning_rate=2e-3, ema_decay=0.99, patience=20, checkpoint_every=1_000
)
"""Training of the discrete columns' model: a small network that early stopping ends within seconds."""

Callbacks = Sequence[Callable[[Epoch], None]]


def fit_augmenter(
    family: Family,
    rows: EncodedRows,
    codec: FeatureCodec,
    config: AugmentersConfig,
    seed: int,
    model: ItemVAE | None = None,
    callbacks: Callbacks = (),
    checkpoints: Path | None = None,
) -> TableAugmenter:
    """Fit a family on encoded training rows (n,), and its refinement on what it draws.

    Args:
        family: which.
        rows: of `codec`; a share of them, drawn by seed, chooses the best weights.
        codec: of the run.
        config: settings.
        seed: of everything random.
        model: the run's ItemVAE, needed by the `vae` and `latent` families.
        callbacks: called after every epoch of the vector model.
        checkpoints: folder in which an interrupted training of the vector model goes on.

    Raises:
        CatalogError: fewer than `LEAST_ROWS` rows.
        ValueError: a family of latents without a model.
    """
    if len(rows) < LEAST_ROWS:
        raise CatalogError(
            f"augmenters: found {len(rows)} training rows, expected at least {LEAST_ROWS}; bring more items"
        )
    space = Space(codec, ScoreMap.fit(rows))
    with one_thread(resolve_device("cpu")):
        drafter = _drafter(family, rows, space, config, seed, model, callbacks, checkpoints)
    bare = TableAugmenter(family, space, drafter, Refinement())
    refinement = Refinement.fit(lambda n, draws: bare.draft(n, seed=draws), space, rows, config.refine, seed)
    return TableAugmenter(family, space, drafter, refinement)


def _drafter(
    family: Family,
    rows: EncodedRows,
    space: Space,
    config: AugmentersConfig,
    seed: int,
    model: ItemVAE | None,
    callbacks: Callbacks,
    checkpoints: Path | None,
) -> Drafter:
    if family in ("diffusion", "flow"):
        vectors = _vectors(family, len(space.scores.columns), space, config, seed)
        ranks = space.ranks(rows)
        _train_vectors(vectors, ranks, rows, space, config, seed, callbacks, checkpoints)
        return RowDrafter(space, _discrete(rows, space, config, seed), vectors)
    if model is None:
        raise ValueError(f"the family {family} needs the run's ItemVAE")
    decoder = LatentDecoder.fit(space, model, rows)
    with torch.no_grad():
        means, log_variances = model.encode(model.prepare(ItemBatch.from_arrays(rows)))
    if family == "vae" or family == "vae_prior":
        chosen = np.random.default_rng([seed, 5]).permutation(len(rows))[:POSTERIOR_ROWS]
        kept = torch.from_numpy(chosen)
        codes = space.codes(rows)[chosen]
        latents: Literal["prior", "posterior"] = "posterior" if family == "vae" else "prior"
        return VAEDrafter(decoder, codes, means[kept], log_variances[kept], latents)
    mean, deviation = means.mean(0), means.std(0).clamp(min=1e-6)
    scores = ((means - mean) / deviation).numpy()
    nothing = np.zeros_like(scores)
    vectors = _vectors(family.removeprefix("latent_"), scores.shape[1], space, config, seed)
    ranks = Ranks(scores, nothing, nothing)
    _train_vectors(vectors, ranks, rows, space, config, seed, callbacks, checkpoints)
    return LatentDrafter(decoder, _discrete(rows, space, config, seed), vectors, mean, deviation)


def _vectors(
    kind: str, dimension: int, space: Space, config: AugmentersConfig, seed: int
) -> FlowMatching | Diffusion:
    torch.manual_seed(seed)
    blocks = list(space.columns.sizes)
    if kind == "flow":
        return FlowMatching(dimension, blocks, config.flow)
    return Diffusion(dimension, blocks, config.diffusion)


def _train_vectors(
    vectors: FlowMatching | Diffusion,
    ranks: Ranks,
    rows: EncodedRows,
    space: Space,
    config: AugmentersConfig,
    seed: int,
    callbacks: Callbacks,
    checkpoints: Path | None,
) -> None:
    if vectors.dimension == 0:
        return
    train, valid = _split(len(rows), config.fit.validation_share, seed)
    codes = torch.from_numpy(space.codes(rows))

    def batch(chosen: NDArray[np.int64]) -> ScoreBatch:
        condition = space.columns.one_hot(codes[torch.from_numpy(chosen)])
        scores, low, high = (torch.from_numpy(part[chosen]) for part in ranks)
        return ScoreBatch(scores, low, high, condition)

    training = config.fit.training(len(train))
    fit(VectorObjective(vectors), batch(train), batch(valid), training, seed, callbacks, checkpoints)


def _discrete(rows: EncodedRows, space: Space, config: AugmentersConfig, seed: int) -> MaskedNetwork | None:
    columns = space.columns
    if not columns.sizes:
        return None
    torch.manual_seed(seed)
    network = MaskedNetwork(columns.sizes, columns.possible)
    train, valid = (ItemBatch.from_arrays(rows[chosen]) for chosen in _split(len(rows), 0.1, seed))
    network.initialise(columns.codes(train))
    fit(MaskedObjective(network, columns), train, valid, DISCRETE, seed)
    return network


def _split(n: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.random.default_rng([seed, 6]).permutation(n)
    count = min(max(1, round(n * share)), n - 2)
    return np.sort(order[count:]), np.sort(order[:count])
