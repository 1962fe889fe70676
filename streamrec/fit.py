"""From a catalogue to a fitted `ItemEncoder`, and to augmenters beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from streamrec.augmenters.settings import AugmentersConfig
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.split import split_items
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig
from streamrec.errors import ConfigError
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.training.device import one_thread, resolve_device
from streamrec.training.loop import Epoch, History, fit
from streamrec.training.objective import ELBO

if TYPE_CHECKING:
    from streamrec.augmenters.compare import Compared, Kept

AUGMENTERS = "augmenters"
"""Folder of a run's augmenters, each in a folder of its family's name."""


def fit_item_encoder(
    catalog: Catalog,
    config: RunConfig,
    folder: Path,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    checkpoints: Path | None = None,
) -> tuple[ItemEncoder, History]:
    """Fit the codec on the training rows, train the ItemVAE, write both and `history.json` into `folder`.

    An interrupted training with the same `checkpoints`, by default `folder`/checkpoint, goes on from its last
    checkpoint.

    Raises:
        CatalogError: fewer than three items.
        TrainingError: a loss was not finite, or the folder holds the checkpoint of another training.
        ConfigError: `model.condition` or `codec.columns` names no such column.
    """
    split = split_items(catalog, config)
    codec = FeatureCodec.fit(split.train, catalog.schema, config.codec)
    torch.manual_seed(config.seed)
    try:
        model = ItemVAE(codec.layout, config.model)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    train = ItemBatch.from_arrays(codec.encode(split.train))
    with one_thread(resolve_device("cpu")):
        model.initialise(model.prepare(train))
    history = fit(
        ELBO(model),
        train,
        ItemBatch.from_arrays(codec.encode(split.held_out)),
        config.train,
        config.seed,
        callbacks,
        checkpoints or folder / "checkpoint",
    )
    encoder = ItemEncoder(codec, model)
    encoder.save(folder)
    (folder / "history.json").write_text(json.dumps(asdict(history), indent=1))
    return encoder, history


def fit_augmenters(
    catalog: Catalog,
    config: RunConfig,
    folder: Path,
    progress: Callable[[int, int | None], None] | None = None,
    kept: Kept = lambda family, make: make(),
) -> Compared:
    """Fit and compare augmenters beside the encoder in `folder`; they go to `folder`/augmenters.

    They learn from the rows that the encoder learnt from and are judged by the same held-out rows. Without
    the section `augmenters` its defaults are taken. `kept` is that of `fit_and_compare`.

    Raises:
        CatalogError: too few rows to fit or to judge.
        TrainingError: a loss was not finite.
        BundleError: `folder` holds no encoder.
    """
    # Only here: the evaluation brings scikit-learn and matplotlib, which the encoder does without.
    from streamrec.augmenters.compare import fit_and_compare

    encoder, history = ItemEncoder.load(folder), load_history(folder)
    return fit_and_compare(
        split_items(catalog, config),
        encoder,
        config.augmenters or AugmentersConfig(),
        config.seed,
        folder / AUGMENTERS,
        encoder_seconds=sum(epoch["seconds"] for epoch in history.epochs),
        progress=progress,
        kept=kept,
    )


def load_history(folder: Path) -> History:
    """The history that `fit_item_encoder` wrote into `folder`."""
    return History(**json.loads((folder / "history.json").read_text()))
