"""Which device trains, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

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
