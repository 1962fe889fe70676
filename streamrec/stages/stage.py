"""`KeptStage`: what the output of a stage depends on, and what it consists of."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import streamrec

KEY_DIGITS = 20
"""Hexadecimal digits of a key."""


@dataclass(frozen=True)
class KeptStage:
    """A stage whose finished output is kept, and used again where all that it depends on is the same."""

    name: str
    """Of the stage; its output is an input of that name to later stages."""
    output: str
    """`module:class` of what the stage returns: anything that pydantic can turn into JSON and back."""
    version: int = 1
    """Raised when the stage's code comes to give other outputs within one version of StreamRec."""
    settings: tuple[str, ...] = ()
    """Dotted names of the settings that it reads; a name stands for all below it."""
    apart_from: tuple[str, ...] = ()
    """Those below them that change nothing in the output."""
    inputs: tuple[str, ...] = ()
    """What it reads: names of stages, or of inputs that the flow gives a digest of."""
    files: tuple[str, ...] = ()
    """Files and folders that it writes into the run's folder; those that are not there are left out."""
    packages: tuple[str, ...] = ()
    """Packages whose version may change the output."""
    device: str | None = None
    """On which device it computes: `auto`, or the dotted name of the setting that says it."""

    def key(self, config: BaseModel, inputs: Mapping[str, str]) -> str:
        """Digest of everything that the output depends on.

        Args:
            config: Of the run.
            inputs: Digests by name; at least those of `self.inputs`.
        """
        settings = config.model_dump(mode="json")
        for name in self.apart_from:
            group, _, last = name.rpartition(".")
            (_setting(settings, group) or {}).pop(last, None)
        device = self.device if self.device in (None, "auto") else _setting(settings, str(self.device))
        found = {
            "stage": [self.name, self.version, streamrec.__version__],
            "settings": {name: _setting(settings, name) for name in self.settings},
            "inputs": {name: inputs[name] for name in self.inputs},
            "packages": {name: metadata.version(name) for name in self.packages},
            "device": None if device is None else device_kind(device),
        }
        return digest(found)

    @property
    def output_type(self) -> Any:
        """The class of what the stage returns; imports its module."""
        module, _, name = self.output.partition(":")
        return getattr(import_module(module), name)


def digest(value: Any) -> str:
    """Digest of a JSON value; the order of names in it does not matter."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def device_kind(setting: str) -> str:
    """The kind of device that `train.device` means here, told without torch, which takes seconds to load."""
    if setting != "auto":
        return setting
    if sys.platform == "darwin":
        return "mps"
    without_cuda = metadata.version("torch").endswith("+cpu")
    return "cuda" if Path("/dev/nvidiactl").exists() and not without_cuda else "cpu"


def _setting(settings: Any, name: str) -> Any:
    """The setting of a dotted name; None below a group that is not there."""
    return reduce(lambda group, part: None if group is None else group[part], name.split("."), settings)
