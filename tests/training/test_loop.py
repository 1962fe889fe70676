"""The training loop: exact resumption, seeds, early stopping, guards."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_items import LAYOUT, elbo, equal, items, numbers_only, weights
from torch import Tensor, nn

from streamrec.errors import TrainingError
from streamrec.models.batch import ItemBatch
from streamrec.training.checkpoint import FILE
from streamrec.training.loop import Epoch, History, fit
from streamrec.training.objective import ELBO
from streamrec.training.schedules import warmup_cosine
from streamrec.training.settings import TrainConfig

CONFIG = TrainConfig(
    epochs=6, batch_size=32, learning_rate=0.003, device="cpu", patience=None, checkpoint_every=1
)
TRAIN, VALID = items(200), items(40, seed=1)


class Interrupted(Exception):
    pass


def interrupt_after(epoch: int) -> Callable[[Epoch], None]:
    def callback(numbers: Epoch) -> None:
        if numbers["epoch"] == epoch:
            raise Interrupted

    return callback


def without_seconds(history: History) -> list[Epoch]:
    return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history.epochs]


class Scripted:
    """Fits a constant to the numbers' mean; validation losses are read from a list, one per epoch."""

    def __init__(self, valid: Sequence[float] = (), columns: int = 1) -> None:
        self.module: nn.Module = nn.Linear(columns, 1, bias=False)
        nn.init.constant_(self.module.weight, 1.0)  # type: ignore[arg-type]
        self.valid, self.seen = iter(valid), []
        self.batches: list[Tensor] = []
        self.before_step: list[Tensor] = []

    def prepare(self, items: ItemBatch) -> tuple[Tensor, ...]:
        return (items.numbers,)

    def loss(self, tensors: Any, share: float, generator: torch.Generator) -> Tensor:
        (numbers,) = tensors
        self.batches.append(numbers[:, 0].clone())
        self.before_step.append(self.module.weight.detach().clone())  # type: ignore[operator]
        return ((self.module.weight - numbers) ** 2).mean()  # type: ignore[operator]

    def validate(self, tensors: Any, generator: torch.Generator) -> dict[str, Tensor]:
        self.seen.append(weights(self))
        return {"loss": torch.tensor(next(self.valid, 0.0))}

    def settings(self, share: float) -> dict[str, float]:
        return {"share": share}


def rows(n: int) -> ItemBatch:
    return numbers_only(torch.arange(n)[:, None])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema_decay": 0.8, "weight_decay": 0.1, "clip_norm": 1.0},
        {"patience": 2, "learning_rate": 0.05},
        {"checkpoint_every": 2},
    ],
)
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = replace(CONFIG, **settings)
    options: dict[str, Any] = {"denoise": 0.1, "scale": "column"}
    whole = elbo(**options)
    expected = fit(whole, TRAIN, VALID, config, seed=3)
    for epoch in (3, 4):
        with pytest.raises(Interrupted):
            fit(elbo(**options), TRAIN, VALID, config, 3, [interrupt_after(epoch)], tmp_path)
        assert (tmp_path / FILE).is_file()
    last = elbo(**options)
    found = fit(last, TRAIN, VALID, config, 3, checkpoints=tmp_path)
    assert found.resumed_from == 4 // config.checkpoint_every * config.checkpoint_every
    assert equal(weights(last), weights(whole))
    assert without_seconds(found) == without_seconds(expected)
    assert found.best_epoch == expected.best_epoch


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first, again = elbo(), elbo()
    expected = fit(first, TRAIN, VALID, replace(CONFIG, checkpoint_every=4), 3, checkpoints=tmp_path)
    trained: list[Epoch] = []
    found = fit(again, TRAIN, VALID, replace(CONFIG, checkpoint_every=4), 3, [trained.append], tmp_path)
    assert trained == []
    assert found.epochs == expected.epochs
    assert equal(weights(first), weights(again))
    assert not again.module.training


def test_the_seed_decides() -> None:
    results = []
    for seed in (3, 3, 4):
        objective = elbo()
        results.append((without_seconds(fit(objective, TRAIN, VALID, CONFIG, seed)), weights(objective)))
    assert results[0][0] == results[1][0]
    assert equal(results[0][1], results[1][1])
    assert results[0][0] != results[2][0]
    assert not equal(results[0][1], results[2][1])


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    objective = elbo()
    torch.manual_seed(0)
    fit(objective, TRAIN, VALID, replace(CONFIG, epochs=1), seed=9)
    assert torch.equal(torch.rand(3), expected)


def swapped(batch: ItemBatch) -> ItemBatch:
    order = torch.arange(len(batch))
    order[:2] = torch.tensor([1, 0])
    return batch[order]


@pytest.mark.parametrize(
    ("objective", "train", "valid", "config", "seed"),
    [
        (elbo(), TRAIN, VALID, CONFIG, 4),
        (elbo(), TRAIN, VALID, replace(CONFIG, learning_rate=1e-4), 3),
        (elbo(seed=1), TRAIN, VALID, CONFIG, 3),
        (elbo(beta=0.77), TRAIN, VALID, CONFIG, 3),
        (elbo(free_bits=0.77), TRAIN, VALID, CONFIG, 3),
        (elbo(denoise=0.77), TRAIN, VALID, CONFIG, 3),
        (elbo(), swapped(TRAIN), VALID, CONFIG, 3),
        (elbo(), TRAIN, items(40, seed=2), CONFIG, 3),
        (elbo(), TRAIN[:-1], VALID, CONFIG, 3),
    ],
    ids=["seed", "rate", "weights", "beta", "free bits", "denoise", "order", "held-out", "rows"],
)
def test_the_checkpoint_of_another_training_is_refused(
    tmp_path: Path, objective: ELBO, train: ItemBatch, valid: ItemBatch, config: TrainConfig, seed: int
) -> None:
    with pytest.raises(Interrupted):
        fit(elbo(), TRAIN, VALID, CONFIG, 3, [interrupt_after(1)], tmp_path)
    before = weights(objective)
    with pytest.raises(TrainingError, match="other settings, rows or seed") as caught:
        fit(objective, train, valid, config, seed, checkpoints=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert equal(weights(objective), before)


def test_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fit(elbo(), TRAIN, VALID, CONFIG, 3, [interrupt_after(1)], tmp_path)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=FILE):
        fit(elbo(), TRAIN, VALID, CONFIG, 3, checkpoints=tmp_path)


def test_patience_stops_and_the_best_epochs_weights_are_kept() -> None:
    objective = Scripted([5, 4, 3, 6, 3, 2.5, 6, 7, 8, 1])
    history = fit(objective, rows(64), rows(8), replace(CONFIG, epochs=10, patience=3), seed=0)
    assert len(history.epochs) == 9
    assert history.best_epoch == 6
    assert history.best["valid_loss"] == 2.5
    assert equal(weights(objective), objective.seen[5])
    assert not equal(weights(objective), objective.seen[8])


def test_the_weights_kept_give_the_best_validation_loss_again() -> None:
    class Remembering(ELBO):
        draws: Tensor | None = None

        def validate(self, tensors: Any, generator: torch.Generator) -> dict[str, Tensor]:
            self.tensors, self.draws = tensors, generator.get_state()
            return super().validate(tensors, generator)

    objective = Remembering(elbo().module)
    history = fit(objective, TRAIN, VALID, replace(CONFIG, learning_rate=0.3, epochs=12), seed=0)
    losses = [epoch["valid_loss"] for epoch in history.epochs]
    assert history.best_epoch == losses.index(min(losses)) + 1
    generator = torch.Generator()
    assert objective.draws is not None
    generator.set_state(objective.draws)
    with torch.no_grad():
        again = ELBO(objective.module).validate(objective.tensors, generator)
    assert float(again["loss"]) == min(losses)


def test_validated_weights_are_the_exponential_moving_average() -> None:
    objective = Scripted()
    fit(objective, rows(64), rows(8), replace(CONFIG, epochs=2, ema_decay=0.7, learning_rate=0.1), seed=0)
    # `before_step` holds the weights at the start of each of 2 x 2 steps.
    average = objective.before_step[0]
    for after_step in objective.before_step[1:3]:
        average = 0.7 * average + 0.3 * after_step
    torch.testing.assert_close(objective.seen[0]["weight"], average)
    assert not torch.allclose(average, objective.before_step[2])


def test_an_epoch_is_a_permutation_without_its_last_incomplete_batch() -> None:
    objective = Scripted()
    fit(objective, rows(70), rows(8), replace(CONFIG, epochs=2), seed=0)
    assert [len(batch) for batch in objective.batches] == [32, 32, 32, 32]
    epochs = [torch.cat(objective.batches[:2]), torch.cat(objective.batches[2:])]
    for epoch in epochs:
        assert len(epoch.unique()) == 64
    assert not torch.equal(*epochs)


def test_fewer_items_than_a_batch_make_one_batch() -> None:
    objective = Scripted()
    fit(objective, rows(5), rows(1), replace(CONFIG, epochs=1), seed=0)
    assert [len(batch) for batch in objective.batches] == [5]


@pytest.mark.parametrize(("train", "valid"), [(1, 5), (0, 5), (5, 0)])
def test_too_few_items_are_refused(train: int, valid: int) -> None:
    with pytest.raises(TrainingError, match=f"at least 2 items.*found {train} and {valid}"):
        fit(elbo(), items(train), items(valid), CONFIG, seed=0)


def test_callbacks_get_the_numbers_of_every_epoch() -> None:
    heard: list[Epoch] = []
    config = replace(CONFIG, epochs=4, warmup=0.5, learning_rate=0.01)
    history = fit(elbo(beta=0.6, beta_warmup=0.5), TRAIN, VALID, config, 0, [heard.append])
    assert heard == history.epochs
    assert [numbers["epoch"] for numbers in heard] == [1, 2, 3, 4]
    assert [numbers["beta"] for numbers in heard] == pytest.approx([0.3, 0.6, 0.6, 0.6])
    rates = [0.01 * warmup_cosine(share, 0.5) for share in (0.25, 0.5, 0.75, 1)]
    assert [numbers["learning_rate"] for numbers in heard] == pytest.approx(rates, abs=1e-12)
    expected = {"train_loss", "seconds", "valid_loss", "valid_elbo", "valid_rate", "valid_distortion_numbers"}
    assert expected <= heard[0].keys()
    assert all(type(value) in (int, float) for numbers in heard for value in numbers.values())


def test_a_training_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    poisoned = items(200)
    poisoned.numbers[7, 0] = math.inf
    with pytest.raises(TrainingError, match=r"epoch 1: train_loss is (nan|inf).*learning_rate.*0\.003"):
        fit(elbo(), poisoned, VALID, CONFIG, 0, checkpoints=tmp_path)
    assert not (tmp_path / FILE).exists()


def test_a_learning_rate_far_too_high_names_the_epoch_and_the_setting() -> None:
    # A loss that grows as the fourth power leaves float32 within a few steps.
    class Quartic(Scripted):
        def loss(self, tensors: Any, share: float, generator: torch.Generator) -> Tensor:
            return super().loss(tensors, share, generator) ** 2

    config = replace(CONFIG, learning_rate=1e12, clip_norm=None)
    with pytest.raises(TrainingError, match=r"epoch 2: train_loss .*train\.learning_rate \(now 1e\+12\)"):
        fit(Quartic(), rows(64), rows(8), config, seed=0)


def test_a_validation_loss_that_is_not_finite_stops_the_training() -> None:
    """Else no epoch would be the best, and the untrained weights would be kept."""
    with pytest.raises(TrainingError, match="epoch 2: valid_loss is nan"):
        fit(Scripted([1.0, math.nan, 0.5]), rows(64), rows(8), CONFIG, seed=0)


def test_a_conditional_model_with_a_learned_scale_trains() -> None:
    objective = elbo(condition="colour", scale="column")
    history = fit(objective, TRAIN, VALID, replace(CONFIG, epochs=10), seed=0)
    assert history.best["valid_loss"] < history.epochs[0]["valid_loss"]
    assert "valid_distortion_categories" not in history.best
    assert objective.module.layout is LAYOUT
