"""Training the ItemVAE: `fit` against a DataLoader + TensorDataset loop as tutorials write it.

    python benchmarks/train.py [--epochs 8] [--rounds 3] [--device auto]

Both train the same model on the same items (the `independent` preset) with the same losses, in turn, so that
a noisy machine slows both, and both on one thread of a CPU: the tutorial's loop on every core is no faster on
a quiet machine and many times slower on a busy one. They are compared at the same batch size and number of
epochs, and to the validation loss that the tutorial's loop reached, with learning rate and schedule free. The
models are the reference one (one hidden layer of 128, the ELBO alone) and the default one (two hidden layers,
the neighbour term).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.generate import generate, preset_schema
from streamrec.config import CodecConfig, GenerateConfig
from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.training.device import resolve_device
from streamrec.training.loop import fit
from streamrec.training.objective import ELBO
from streamrec.training.settings import TrainConfig

SEED = 42
BATCH = 256
MODELS = {
    "reference": ItemVAEConfig(hidden=(128,), neighbour_weight=0),
    "default": ItemVAEConfig(),
}
FREE = {
    "reference": {"epochs": 5, "learning_rate": 2e-2, "warmup": 0.15},
    "default": {"epochs": 11, "learning_rate": 5e-3, "warmup": 0.15},
}


def load() -> tuple[FeatureLayout, ItemBatch, ItemBatch]:
    with tempfile.TemporaryDirectory() as folder:
        rows = generate(GenerateConfig(), Path(folder) / "items.parquet").table()
    codec = FeatureCodec.fit(rows[2_000:], preset_schema("independent"), CodecConfig())
    batch = ItemBatch.from_arrays(codec.encode(rows))
    return codec.layout, batch[2_000:], batch[:2_000]


def new_objective(layout: FeatureLayout, config: ItemVAEConfig, train: ItemBatch) -> ELBO:
    torch.manual_seed(SEED)
    model = ItemVAE(layout, config)
    model.initialise(model.prepare(train))
    return ELBO(model)


def train_like_a_tutorial(
    objective: ELBO, train: ItemBatch, valid: ItemBatch, epochs: int, device: torch.device
) -> tuple[float, float]:
    """Seconds, and the lowest validation loss of an epoch."""
    started = time.perf_counter()
    model = objective.module.to(device)
    loader = DataLoader(TensorDataset(*objective.prepare(train)), batch_size=BATCH, shuffle=True)
    held_out = tuple(objective.prepare(valid.to(device)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    generator = torch.Generator(device).manual_seed(SEED)
    total, best = 0.0, float("inf")
    for epoch in range(epochs):
        model.train()
        for step, batch in enumerate(loader):
            batch = [tensor.to(device) for tensor in batch]
            loss = objective.loss(batch, (epoch + step / len(loader)) / epochs, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            best = min(best, objective.validate(held_out, generator)["loss"].item())
    return time.perf_counter() - started, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    torch.set_num_threads(1)
    layout, train, valid = load()
    print(f"{len(train):,} items, {options.epochs} epochs of batches of {BATCH}, {device}")
    same = TrainConfig(epochs=options.epochs, batch_size=BATCH, patience=None, device=options.device)
    for name, config in MODELS.items():
        free = TrainConfig(batch_size=BATCH, patience=None, device=options.device, **FREE[name])
        rounds = []
        for _ in range(options.rounds):
            tutorial, target = train_like_a_tutorial(
                new_objective(layout, config, train), train, valid, options.epochs, device
            )
            started = time.perf_counter()
            fit(new_objective(layout, config, train), train, valid, same, SEED)
            equal = time.perf_counter() - started
            started = time.perf_counter()
            reached = fit(new_objective(layout, config, train), train, valid, free, SEED).best["valid_loss"]
            freely = time.perf_counter() - started
            rounds.append((tutorial / equal, tutorial / freely))
            print(
                f"{name:>10}: tutorial {tutorial:.2f} s to {target:.2f} nats; fit, same batch and epochs "
                f"{equal:.2f} s; fit, {free.epochs} epochs {freely:.2f} s to {reached:.2f} nats"
            )
        print(
            f"{name:>10}: {statistics.median(r[0] for r in rounds):.2f} times as fast at the same batch and "
            f"epochs, {statistics.median(r[1] for r in rounds):.2f} times to the loss"
        )


if __name__ == "__main__":
    main()
