"""The loss of the towers: what a batch shows, what it hides, and what is learned from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamrec.models.settings import TwoTowerConfig
from streamrec.models.two_tower import TwoTower
from streamrec.training.loop import fit
from streamrec.training.retrieval import EventBatch, EventWorld, SampledSoftmax
from streamrec.training.settings import TrainConfig

USERS, ITEMS = 40, 12
CONFIG = TwoTowerConfig(dimension=8, hidden=8, negatives=6, history=20)


def taste(user: int) -> np.ndarray:
    """Even users take items of the first half, odd ones of the second: five of six each."""
    half = np.arange(6) + 6 * (user % 2)
    return np.delete(half, user % 6)


@pytest.fixture
def events() -> EventBatch:
    users = np.repeat(np.arange(USERS), 5)
    items = np.concatenate([taste(user) for user in range(USERS)])
    return EventBatch(*map(torch.from_numpy, (users, items, np.zeros(len(users), np.int64))))


@pytest.fixture
def world(events: EventBatch) -> EventWorld:
    share = torch.bincount(events.items, minlength=ITEMS) / len(events)
    return EventWorld(
        content=torch.eye(ITEMS)[:, :4],
        ids=torch.arange(1, ITEMS + 1),
        features=torch.zeros(USERS, 0),
        starts=torch.arange(USERS + 1) * 5,
        items=events.items,
        log_share=share.log(),
        log_popularity=torch.zeros(1, ITEMS),
        asked=torch.arange(ITEMS),
    )


def model(config: TwoTowerConfig = CONFIG) -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(ITEMS, 4, 0, config)


def test_the_item_asked_for_is_not_in_the_history(events: EventBatch, world: EventWorld) -> None:
    objective = SampledSoftmax(model(), world)
    other, shown = objective._others(events.users, events.items, torch.Generator().manual_seed(0))
    assert other.sum(1).tolist() == [4] * len(events)
    assert not (other & (shown == events.items[:, None])).any()


def test_a_window_of_a_long_history_has_no_item_twice(events: EventBatch, world: EventWorld) -> None:
    objective = SampledSoftmax(model(replace(CONFIG, history=3)), world)
    generator, counted = torch.Generator().manual_seed(1), torch.zeros(ITEMS)
    for _ in range(200):
        shown, there = objective._window(torch.tensor([0]), generator)
        assert there.all()
        assert len(set(shown[0].tolist())) == 3
        counted[shown[0]] += 1
    assert (counted[taste(0)] > 80).all(), "each of five is in three of five windows"
    assert counted.sum() == 600


def test_other_items_of_the_user_are_no_negatives(events: EventBatch, world: EventWorld) -> None:
    objective = SampledSoftmax(model(), world)
    asked = world.asked
    vectors = objective.module.item(world.ids, world.content)
    other, shown = objective._others(events.users, events.items, torch.Generator().manual_seed(2))
    _, hits = objective._scores(events.users, events.periods, asked, vectors, shown, other, other)
    for row in range(0, len(events), 7):
        expected = set(taste(int(events.users[row]))) - {int(events.items[row])}
        assert set(np.flatnonzero(hits[row].numpy())) == expected


def test_popularity_is_added_whether_an_item_has_an_id_or_not(events: EventBatch, world: EventWorld) -> None:
    counted = torch.arange(float(ITEMS))[None]
    asked, few = world.asked, events.users[:4]
    found = []
    for one in (world, replace(world, log_popularity=counted)):
        objective = SampledSoftmax(model(), one)
        vectors = objective.module.item(world.ids * (world.ids != 3), world.content)
        other, shown = objective._others(few, events.items[:4], torch.Generator().manual_seed(3))
        found.append(objective._scores(few, events.periods[:4], asked, vectors, shown, other, other)[0])
    assert torch.allclose(found[1] - found[0], counted.expand(4, -1), atol=1e-5)


def test_training_finds_who_takes_what(events: EventBatch, world: EventWorld) -> None:
    towers = model()
    before = SampledSoftmax(towers, world)
    start = before.validate(before.prepare(events), torch.Generator().manual_seed(0))["loss"].item()
    config = TrainConfig(epochs=30, batch_size=50, learning_rate=0.02, patience=None)
    history = fit(SampledSoftmax(towers, world), events, events, config, seed=0)
    # Among the two items of the half that the user may still take, and six of the other half.
    assert start > np.log(6)
    assert history.best["valid_loss"] < 0.8
    again = model()
    fit(SampledSoftmax(again, world), events, events, config, seed=0)
    for one, other in zip(towers.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
