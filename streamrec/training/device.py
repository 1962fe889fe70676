"""Which device trains, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from streamrec.errors import TrainingError


def resolve_device(setting: str) -> torch.device:
    """The device that `train.device` means on this machine: `auto` is cuda, else mps, else cpu.

    Raises:
        TrainingError: the named device is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if setting == "auto":
        return torch.device(next(name for name, here in available.items() if here))
    if not available[setting]:
        raise TrainingError(f"train.device: '{setting}' is not available here; use auto or cpu")
    return torch.device(setting)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The precision of the forward pass: bfloat16 where asked for, or by `auto` where cuda has it."""
    if device.type == "cuda" and precision != "float32":
        torch.backends.cuda.matmul.allow_tf32 = True
        if precision == "bfloat16" or torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
    elif precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Run torch on one thread of a CPU: no slower for such small steps, and the same on any machine.

    With one thread per core, each of a step's small operations waits for the slowest core: on a machine that
    is busy with something else, training was seen to take 35 times as long.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
