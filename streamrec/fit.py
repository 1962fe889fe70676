"""From a catalogue to a fitted `ItemEncoder`: codec and training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

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


def fit_item_encoder(
    catalog: Catalog,
    config: RunConfig,
    folder: Path,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
) -> tuple[ItemEncoder, History]:
    """Fit the codec on the training rows, train the ItemVAE, write both and `history.json` into `folder`.

    An interrupted training in the same folder goes on from its last checkpoint.

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
    checkpoints = folder / "checkpoint"
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
        checkpoints,
    )
    encoder = ItemEncoder(codec, model)
    encoder.save(folder)
    (folder / "history.json").write_text(json.dumps(asdict(history), indent=1))
    return encoder, history


def load_history(folder: Path) -> History:
    """The history that `fit_item_encoder` wrote into `folder`."""
    return History(**json.loads((folder / "history.json").read_text()))
