"""The one training loop: every model of the project is trained by `fit`."""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from streamrec.errors import TrainingError
from streamrec.training.checkpoint import (
    flatten,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    unflatten,
)
from streamrec.training.device import autocast, one_thread, resolve_device
from streamrec.training.history import Epoch as Epoch
from streamrec.training.history import History as History
from streamrec.training.objective import Objective
from streamrec.training.schedules import warmup_cosine
from streamrec.training.settings import TrainConfig


class Rows(Protocol):
    """What is learned from: `ItemBatch` or `ScoreBatch`, whichever the objective prepares."""

    def __len__(self) -> int: ...

    def to(self, device: torch.device | str) -> Self:
        """The same rows on `device`."""
        ...


def fit(
    objective: Objective,
    train: Rows,
    valid: Rows,
    config: TrainConfig,
    seed: int,
    callbacks: Sequence[Callable[[Epoch], None]] = (),
    checkpoints: Path | None = None,
) -> History:
    """Train the objective's module and leave it with the weights of the best validation loss.

    Tensors are moved to the device once; a batch is a slice of the epoch's permutation. The permutation and
    every random draw of epoch e come from (seed, e), so a training resumed from a checkpoint equals one that
    was never interrupted, bit for bit on CPU. The last incomplete batch of an epoch is dropped.

    Args:
        objective: module and losses; the module is trained in place and returned to the CPU.
        train, valid: rows to learn from and to validate on.
        config: settings.
        seed: seed of batches and draws; initial weights are the caller's.
        callbacks: called after every epoch with its numbers.
        checkpoints: folder of the checkpoint; a checkpoint found there is continued.

    Raises:
        TrainingError: too few items, a loss that is not finite, or a checkpoint of another training.
    """
    device = resolve_device(config.device)
    with one_thread(device):
        return _fit(objective, train, valid, config, seed, callbacks, checkpoints, device)


def _fit(
    objective: Objective,
    train: Rows,
    valid: Rows,
    config: TrainConfig,
    seed: int,
    callbacks: Sequence[Callable[[Epoch], None]],
    checkpoints: Path | None,
    device: torch.device,
) -> History:
    batch_size = min(config.batch_size, len(train))
    if batch_size < 2 or not len(valid):
        raise TrainingError(
            f"training needs at least 2 items to learn from and 1 to validate on, "
            f"found {len(train)} and {len(valid)}; lower train.validation_share or bring more items"
        )
    module = objective.module.to(device)
    tensors = tuple(objective.prepare(train.to(device)))
    held_out = tuple(objective.prepare(valid.to(device)))
    identity = _identity(objective, (*tensors, *held_out), config, seed)
    state = _State(objective, config, device, identity)
    if checkpoints is not None:
        state.restore(checkpoints)
    steps = len(train) // batch_size
    generator = torch.Generator(device)
    while not state.done:
        started = time.perf_counter()
        epoch = state.next_epoch
        generator.manual_seed(_epoch_seed(seed, epoch))
        order = torch.randperm(len(train), generator=generator, device=device)[: steps * batch_size]
        shuffled = [tensor[order] for tensor in tensors]
        total = torch.zeros((), device=device)
        module.train()
        with autocast(device, config.precision):
            for step, batch in enumerate(zip(*(t.split(batch_size) for t in shuffled), strict=True)):
                share = ((epoch - 1) * steps + step) / (config.epochs * steps)
                total += state.step(batch, share, generator)
        share = epoch / config.epochs
        numbers: Epoch = {
            "epoch": epoch,
            "train_loss": float(total) / steps,
            "learning_rate": config.learning_rate * warmup_cosine(share, config.warmup),
            **objective.settings(share),
        }
        generator.manual_seed(_epoch_seed(seed, 0))
        numbers |= {f"valid_{name}": value for name, value in state.validate(held_out, generator).items()}
        for name in ("train_loss", "valid_loss"):
            if not math.isfinite(numbers[name]):
                raise TrainingError(
                    f"epoch {epoch}: {name} is {numbers[name]}; lower train.learning_rate "
                    f"(now {config.learning_rate:g}) or set train.clip_norm (now {config.clip_norm})"
                )
        numbers["seconds"] = time.perf_counter() - started
        state.history.epochs.append(numbers)
        if checkpoints is not None and (epoch % config.checkpoint_every == 0 or state.done):
            state.save(checkpoints)
        for callback in callbacks:
            callback(numbers)
    module.load_state_dict(state.best)
    module.to("cpu").eval()
    return state.history


class _State:
    """What changes from step to step: weights, optimizer, averages, history."""

    def __init__(
        self, objective: Objective, config: TrainConfig, device: torch.device, identity: str
    ) -> None:
        self.objective, self.config, self.identity = objective, config, identity
        self.module = objective.module
        self.parameters = list(self.module.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.average = [p.detach().clone() for p in self.parameters] if config.ema_decay else []
        self.best = _copy(self.module)
        self.history = History(device=str(device))

    @property
    def next_epoch(self) -> int:
        return len(self.history.epochs) + 1

    @property
    def done(self) -> bool:
        patience = self.config.patience
        finished = self.next_epoch - 1
        stopped = patience is not None and finished - self.history.best_epoch >= patience
        return finished >= self.config.epochs or stopped

    def step(self, batch: tuple[Tensor, ...], share: float, generator: torch.Generator) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warmup_cosine(share, self.config.warmup)
        loss = self.objective.loss(batch, share, generator)
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        self.optimizer.step()
        if self.config.ema_decay:
            torch._foreach_lerp_(self.average, [p.data for p in self.parameters], 1 - self.config.ema_decay)
        return loss.detach()

    @torch.no_grad()
    def validate(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> dict[str, float]:
        self.module.eval()
        self._swap_average()
        numbers = {k: float(v) for k, v in self.objective.validate(tensors, generator).items()}
        lowest = min((epoch["valid_loss"] for epoch in self.history.epochs), default=math.inf)
        if numbers["loss"] < lowest + self.config.tolerance * abs(lowest):
            self.best = _copy(self.module)
            self.history.best_epoch = self.next_epoch
        self._swap_average()
        return numbers

    def save(self, folder: Path) -> None:
        tensors = {
            **flatten("module", dict(self.module.state_dict())),
            **flatten("best", self.best),
            **flatten("optimizer", optimizer_tensors(self.optimizer)),
            **flatten("average", {str(i): tensor for i, tensor in enumerate(self.average)}),
        }
        save_checkpoint(folder, tensors, {"identity": self.identity, "history": asdict(self.history)})

    def restore(self, folder: Path) -> None:
        found = load_checkpoint(folder, self.parameters[0].device)
        if found is None:
            return
        tensors, state = found
        if state["identity"] != self.identity:
            raise TrainingError(
                f"{folder}: holds the checkpoint of a training with other settings, rows or seed; "
                "delete it or use another folder"
            )
        self.module.load_state_dict(unflatten("module", tensors))
        self.best = unflatten("best", tensors)
        restore_optimizer(self.optimizer, unflatten("optimizer", tensors))
        self.average = [unflatten("average", tensors)[str(i)] for i in range(len(self.average))]
        self.history = History(**state["history"])
        self.history.resumed_from = self.next_epoch - 1

    def _swap_average(self) -> None:
        for parameter, average in zip(self.parameters, self.average, strict=bool(self.average)):
            parameter.data, average.data = average.data, parameter.data


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _epoch_seed(seed: int, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def _identity(objective: Objective, tensors: tuple[Tensor, ...], config: TrainConfig, seed: int) -> str:
    """Digest of all that a training depends on; the module's `repr` must tell its settings."""
    settings: dict[str, Any] = {
        "config": asdict(config),
        "seed": seed,
        "objective": type(objective).__name__,
        "module": repr(objective.module),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for tensor in (*tensors, *objective.module.state_dict().values()):
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        content = tensor.detach().cpu().contiguous()
        # Tensor.numpy() would need NumPy, Tensor.tolist() a Python object per number.
        digest.update((ctypes.c_char * content.nbytes).from_address(content.data_ptr()))
    return digest.hexdigest()
