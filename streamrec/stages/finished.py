"""`FinishedStages`: the stages of one run that earlier runs have finished already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from streamrec.errors import StreamRecError
from streamrec.stages.stage import KeptStage, digest
from streamrec.stages.store import Output, StageStore, file_checksums

RUN_FOLDER = "{run}"
"""Stands, in a kept value, for the folder of the run."""


@dataclass(frozen=True)
class Reused:
    """An output that an earlier run made."""

    value: Any
    run: str
    """Name of that run."""


class FinishedStages:
    """Finds and keeps the outputs of a run's stages; they are linked into the run's folder.

    Every stage leaves the digest of its output, which is part of the keys of the stages that read it.
    """

    def __init__(self, store: StageStore, config: BaseModel, folder: Path, fresh: bool = False) -> None:
        self._store, self._config, self._folder, self._fresh = store, config, folder, fresh
        self._digests: dict[str, str | None] = {}

    def give(self, name: str, content: str | None) -> None:
        """State the digest of an input that is no stage; None: unknown, whoever reads it is done again."""
        self._digests[name] = content

    def digest(self, name: str) -> str | None:
        """Digest of an input, or of the output of a stage of this run."""
        return self._digests[name]

    def key(self, stage: KeptStage) -> str | None:
        """Key of a stage whose inputs are there; None where one of them is unknown."""
        inputs = {name: self._digests[name] for name in stage.inputs}
        known = {name: found for name, found in inputs.items() if found is not None}
        return stage.key(self._config, known) if len(known) == len(inputs) else None

    def find(self, stage: KeptStage, still: Callable[[Any], bool] = lambda value: True) -> Reused | None:
        """The finished output of a stage, its files in the run's folder; None where it is to be done.

        Args:
            stage: Its inputs must be there.
            still: Whether the value holds still, where that depends on more than the key.
        """
        key = self.key(stage)
        output = None if key is None or self._fresh else self._store.find(stage.name, key)
        if output is None:
            return None
        output.link_into(self._folder)
        value = self._read(stage, output)
        if value is None or not still(value):
            for name in output.files:  # the stage must not write into files that others share
                (self._folder / name).unlink()
            return None
        self._digests[stage.name] = output.digest
        return Reused(value, output.run)

    def keep(self, stage: KeptStage, value: Any) -> None:
        """Keep what a stage returned and wrote into the run's folder; without a key, only its digest."""
        content = _replaced(adapter(stage).dump_python(value, mode="json"), str(self._folder), RUN_FOLDER)
        key = self.key(stage)
        if key is None:
            self._digests[stage.name] = digest(file_checksums(self._folder, stage.files) or content)
            return
        output = self._store.put(stage.name, key, self._folder.name, self._folder, stage.files, content)
        self._digests[stage.name] = output.digest

    def unfinished(self, stage: KeptStage) -> Path | None:
        """A folder from which a stage that was killed goes on half-way; None where its key is unknown."""
        key = self.key(stage)
        return None if key is None else self._store.unfinished(stage.name, key, self._fresh)

    def _read(self, stage: KeptStage, output: Output) -> Any:
        """The value of an output; None where the class that reads it has changed since."""
        try:
            return adapter(stage).validate_python(_replaced(output.value, RUN_FOLDER, str(self._folder)))
        except (ValueError, StreamRecError):
            return None


def adapter(stage: KeptStage) -> TypeAdapter[Any]:
    """Turns what a stage returns into JSON and back."""
    return TypeAdapter(stage.output_type)


def _replaced(value: Any, old: str, new: str) -> Any:
    """A JSON value in which paths below `old` lie below `new`."""
    if isinstance(value, str):
        return new + value.removeprefix(old) if value == old or value.startswith(f"{old}/") else value
    if isinstance(value, list):
        return [_replaced(item, old, new) for item in value]
    if isinstance(value, dict):
        return {name: _replaced(item, old, new) for name, item in value.items()}
    return value
