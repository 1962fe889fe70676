"""Events per second of training towers: `fit` against loops over a DataLoader, on synthetic interactions.

    python benchmarks/train_towers.py [--items 50000] [--users 20000] [--events 1000000] [--steps 100]

All train the same model from the same weights on the same batches of events, on one thread, and count the
processor's seconds, which a busy machine falsifies least. Every event's history, popularity and user come
out of `Dataset.__getitem__`, which the default collate stacks. Then

    tutorial    calls the towers for every item of every history, and steps torch's default AdamW
    loader      does all that `fit` does but the loading: what the DataLoader alone costs
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.generate import generate, preset_schema
from streamrec.config import CodecConfig, GenerateConfig
from streamrec.evaluation.latents import feature_matrix
from streamrec.interactions.file import positions
from streamrec.interactions.generate import (
    GenerateInteractionsConfig,
    InteractionFiles,
    generate_interactions,
)
from streamrec.interactions.table import Interactions
from streamrec.models.settings import TwoTowerConfig
from streamrec.models.softmax import log_inclusion, sampled_softmax
from streamrec.models.two_tower import TwoTower
from streamrec.recommenders.fit_towers import distinct
from streamrec.recommenders.popularity import Popularity
from streamrec.recommenders.scaling import Scaling
from streamrec.training.loop import fit
from streamrec.training.retrieval import EventBatch, EventWorld, SampledSoftmax
from streamrec.training.settings import TrainConfig

SEED, BATCH = 42, 1024
HALF_LIFE_DAYS = 14.0
CONFIG = TwoTowerConfig()
TRAIN = TrainConfig(epochs=1, batch_size=BATCH, learning_rate=2e-3, patience=None, device="cpu")


def make_events(items: int, users: int, events: int) -> tuple[Interactions, np.ndarray]:
    """Events, and the encoded features of the items."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue, truth = folder / "items.parquet", folder / "truth.parquet"
        generate(GenerateConfig(preset="structured", items=items), catalogue, truth)
        config = GenerateInteractionsConfig(users=users, events=events)
        files = InteractionFiles(folder / "events.parquet", folder / "users.parquet")
        generate_interactions(config, catalogue, truth, files)
        rows, table = pq.read_table(catalogue), pq.read_table(files.events)
        user_ids = pq.read_table(folder / "users.parquet")["user_id"].combine_chunks()
    schema = preset_schema("structured")
    codec = FeatureCodec.fit(rows, schema, CodecConfig())
    item_ids = rows[schema.item_id].combine_chunks()
    found = Interactions(
        positions(table["user_id"], user_ids).copy(),
        positions(table["item_id"], item_ids).copy(),
        table["timestamp"].cast(pa.int64()).to_numpy(),
        table["weight"].to_numpy(),
        user_ids,
        item_ids,
    )
    return found, feature_matrix(codec.encode(rows), codec.layout)


def make_world(events: Interactions, features: np.ndarray) -> tuple[EventWorld, EventBatch]:
    popularity = Popularity.of(events, HALF_LIFE_DAYS)
    latents = np.zeros((len(features), 0), np.float32)
    histories = distinct(events.histories())
    starts = np.concatenate([[0], np.cumsum([len(history) for history in histories])])
    shares = (events.item_counts() + 1) / len(events)
    world = EventWorld(
        content=torch.from_numpy(Scaling.of(latents, features)(latents, features)),
        ids=torch.arange(1, len(features) + 1),
        features=torch.zeros(len(histories), 0),
        starts=torch.from_numpy(starts),
        items=torch.from_numpy(np.concatenate(histories)),
        log_share=torch.from_numpy(np.log(shares).astype(np.float32)),
        log_popularity=torch.from_numpy(popularity.table),
        asked=torch.arange(len(features)),
    )
    return world, EventBatch(*map(torch.from_numpy, (events.users, events.items, popularity.periods)))


def new_model(world: EventWorld) -> TwoTower:
    torch.manual_seed(SEED)
    return TwoTower(len(world.ids), world.content.shape[1], 0, CONFIG)


class Events(Dataset[tuple[Tensor, ...]]):
    """User, item, period, and a window of the user's items with which of them are there."""

    def __init__(self, world: EventWorld, events: EventBatch) -> None:
        self.world, self.events = world, events

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        world, user, item = self.world, self.events.users[index], self.events.items[index]
        own = world.items[world.starts[user] : world.starts[user + 1]]
        first = int(torch.randint(max(len(own) - CONFIG.history, 0) + 1, ()))
        own = own[first : first + CONFIG.history]
        shown = torch.zeros(CONFIG.history, dtype=torch.long)
        there = torch.zeros(CONFIG.history, dtype=torch.bool)
        shown[: len(own)] = own
        there[: len(own)] = own != item
        return user, item, self.events.periods[index], shown, there


def tutorial_loss(model: TwoTower, world: EventWorld, batch: list[Tensor]) -> Tensor:
    """As `SampledSoftmax.loss`, by the towers' own methods alone."""
    users, items, periods, shown, there = batch
    uniform = torch.randint(len(world.content), (CONFIG.negatives,))
    candidates, columns = torch.unique(torch.cat([items, uniform]), return_inverse=True)
    ids = world.ids[candidates] * (torch.rand(len(candidates)) >= CONFIG.id_dropout)
    kept = (0.1 + 0.8 * torch.rand(len(users), 1)) * (torch.rand(len(users), 1) >= CONFIG.empty_histories)
    seen = there & (torch.rand(there.shape) < kept)
    named = world.ids[shown] * (torch.rand(there.shape) >= 0.1)
    added = model.history(named, world.content[shown]) * seen.unsqueeze(-1)
    user = model.user(added.sum(1), seen.sum(1), world.features[users])
    content = world.content[candidates]
    popularity = world.log_popularity[periods.unsqueeze(1), candidates]
    scores = model.sharpness * user @ model.item(ids, content).T + popularity
    hits = torch.zeros(len(users), len(world.content) + 1, dtype=torch.bool)
    hits.scatter_(1, torch.where(there, shown, len(world.content)), True)
    hits = hits[:, candidates]
    log_q = log_inclusion(world.log_share[candidates], len(items), CONFIG.negatives, len(world.content))
    return sampled_softmax(scores, columns[: len(items)], log_q, hits).mean()


def seconds(steps: Iterator[None], count: int) -> float:
    """Processor's seconds of so many steps, after two that fill the caches."""
    for _ in range(2):
        next(steps)
    started = time.process_time()
    for _ in range(count):
        next(steps)
    return time.process_time() - started


def tutorial(world: EventWorld, events: EventBatch) -> Iterator[None]:
    """A step at a time."""
    model = new_model(world)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0)
    for batch in DataLoader(Events(world, events), batch_size=BATCH, shuffle=True, drop_last=True):
        loss = tutorial_loss(model, world, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        loss.item()
        yield


def loader(world: EventWorld, events: EventBatch) -> Iterator[None]:
    """A step at a time."""
    objective = SampledSoftmax(new_model(world), world)
    parameters = list(objective.module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0, fused=True)
    generator = torch.Generator().manual_seed(SEED)
    for batch in DataLoader(Events(world, events), batch_size=BATCH, shuffle=True, drop_last=True):
        loss = objective.loss(tuple(batch[:3]), 0.5, generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.step()
        yield


def ours(world: EventWorld, events: EventBatch, steps: int) -> tuple[float, float]:
    """Processor's and wall seconds of `fit` on so many steps: those of twice as many less those of once."""
    used, elapsed = [], []
    for count in (steps, 2 * steps):
        rows = torch.randperm(len(events), generator=torch.Generator().manual_seed(SEED))[: count * BATCH]
        part = EventBatch(events.users[rows], events.items[rows], events.periods[rows])
        held_out = EventBatch(events.users[:1], events.items[:1], events.periods[:1])
        objective = SampledSoftmax(new_model(world), world)
        before, started = time.process_time(), time.perf_counter()
        fit(objective, part, held_out, TRAIN, SEED)
        used.append(time.process_time() - before)
        elapsed.append(time.perf_counter() - started)
    return used[1] - used[0], elapsed[1] - elapsed[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    world, events = make_world(*make_events(given.items, given.users, given.events))
    print(f"{len(events):,} events with {len(world.ids):,} items, batches of {BATCH}, one thread")
    used, elapsed = ours(world, events, given.steps)
    rate = given.steps * BATCH / used
    print(
        f"{'fit':<10}{rate:9,.0f} events per CPU second ({given.steps * BATCH / elapsed:,.0f} by the clock)"
    )
    slow = max(given.steps // 10, 1)
    for name, loop in (("tutorial", tutorial(world, events)), ("loader", loader(world, events))):
        other = slow * BATCH / seconds(loop, slow)
        print(f"{name:<10}{other:9,.0f} events per CPU second: fit is {rate / other:.1f} times as fast")


if __name__ == "__main__":
    main()
