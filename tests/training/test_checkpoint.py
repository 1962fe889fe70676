"""Checkpoints: everything back, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamrec.errors import TrainingError
from streamrec.training.checkpoint import (
    FILE,
    flatten,
    load_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    unflatten,
)

CPU = torch.device("cpu")


def test_tensors_and_state_come_back(tmp_path: Path) -> None:
    tensors = {
        **flatten("module", {"a.b": torch.randn(3, 0), "a": torch.randn(4, 4).T}),
        **flatten("module2", {"a": torch.arange(3)}),
    }
    state = {"text": "Größe", "numbers": [0.1, 1e-300, 3]}
    save_checkpoint(tmp_path / "new", {"old": torch.zeros(9)}, {})
    save_checkpoint(tmp_path / "new", tensors, state)
    found = load_checkpoint(tmp_path / "new", CPU)
    assert found is not None
    assert found[1] == state
    assert found[0].keys() == tensors.keys()
    assert all(torch.equal(tensor, found[0][name]) for name, tensor in tensors.items())
    assert unflatten("module", found[0]).keys() == {"a.b", "a"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent", CPU) is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(TrainingError, match=f"{FILE}: not a checkpoint.*delete it"):
        load_checkpoint(tmp_path, CPU)


def test_weights_without_a_training_state_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(TrainingError, match="not a checkpoint"):
        load_checkpoint(tmp_path, CPU)


def test_an_optimizer_goes_on_where_it_was() -> None:
    def train(parameter: torch.nn.Parameter, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            (parameter**3).sum().backward()
            optimizer.step()

    whole = torch.nn.Parameter(torch.linspace(0.1, 1, 5))
    train(whole, torch.optim.AdamW([whole], lr=0.1), 6)
    first = torch.nn.Parameter(torch.linspace(0.1, 1, 5))
    before = torch.optim.AdamW([first], lr=0.1)
    train(first, before, 3)
    second = torch.nn.Parameter(first.detach().clone())
    after = torch.optim.AdamW([second], lr=0.1)
    restore_optimizer(after, {name: t.clone() for name, t in optimizer_tensors(before).items()})
    train(second, after, 3)
    assert torch.equal(second, whole)
