"""The services of compose.yaml as processes on this machine: same commands and variables, other places."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml


class Composed:
    """compose.yaml with its variables filled in.

    `places` maps what the file says (a host and port, a folder, a bucket) to what takes its place here.
    """

    def __init__(self, file: Path, values: dict[str, str], places: dict[str, str]) -> None:
        self.services: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
        self.values, self.places = values, places

    def command(self, service: str) -> list[str]:
        """The command of a service; our own programs are those beside this Python."""
        program, *arguments = shlex.split(self._here(self.services[service]["command"]))
        return [str(Path(sys.executable).with_name(program)), *arguments]

    def environment(self, service: str) -> dict[str, str]:
        """This process's environment with the variables of a service."""
        own = {name: self._here(value) for name, value in self.services[service]["environment"].items()}
        return {**os.environ, **own}

    def _here(self, text: str) -> str:
        text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: self.values[found.group(1)], text)
        for place, here in self.places.items():
            text = text.replace(place, here)
        return text
