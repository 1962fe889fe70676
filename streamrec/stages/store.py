"""`StageStore`: finished outputs of stages in a folder each, whole or not there at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamrec.files import checksum, link, sync, sync_tree
from streamrec.stages.stage import digest

KEPT = "stages"
"""Folder, beside that of the runs, of the outputs."""
RECORD = "stage.json"
FILES = "files"
"""Folder of an output's files, named as in the run's folder."""
_PARTIAL, _REMOVED, _UNFINISHED = ".partial-", ".removed-", ".unfinished-"


@dataclass(frozen=True)
class Output:
    """What a finished stage left, verified."""

    path: Path
    run: str
    """Name of the run that made it."""
    value: Any
    """What the stage returned, as JSON."""
    files: dict[str, str]
    """SHA-256 of each file by its path in the run's folder."""

    @property
    def digest(self) -> str:
        """Of the files, or of the value where there are none: what later stages depend on."""
        return digest(self.files or self.value)

    def link_into(self, folder: Path) -> None:
        """Put the files into a run's folder."""
        for name in self.files:
            (folder / name).unlink(missing_ok=True)
            link(self.path / FILES / name, folder / name)


class StageStore:
    """Outputs under `root`, in folders named by stage and key; only for a holder of the run's lock.

    An output is written beside its place, synced and renamed: of a stage that was killed nothing counts.
    Its record has a checksum of itself and of every file; an output that was altered is not found.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self.root, self.keep = root, keep

    def find(self, stage: str, key: str) -> Output | None:
        """The output of a stage under a key, every byte verified; None where that is not there."""
        path = self.root / f"{stage}-{key}"
        try:
            record = json.loads((path / RECORD).read_text(encoding="utf-8"))
            stated = record.pop("checksum")
            if stated != digest(record) or record["key"] != key:
                return None
            for name, expected in record["files"].items():
                if checksum(path / FILES / name) != expected:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        os.utime(path)
        return Output(path, record["run"], record["value"], record["files"])

    def put(self, stage: str, key: str, run: str, folder: Path, names: Sequence[str], value: Any) -> Output:
        """Keep a finished output: files and folders `names` of the run's `folder`, and what was returned.

        An output of the same key is replaced; of each stage the `keep` used last are kept.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        path = self.root / f"{stage}-{key}"
        partial = self.root / f"{_PARTIAL}{secrets.token_hex(4)}"
        partial.mkdir()
        files = file_checksums(folder, names)
        for name in files:
            link(folder / name, partial / FILES / name)
        record = {"stage": stage, "key": key, "run": run, "value": value, "files": files}
        text = json.dumps(record | {"checksum": digest(record)}, indent=1)
        (partial / RECORD).write_text(text + "\n", encoding="utf-8")
        sync_tree(partial)
        self._remove(path)
        os.rename(partial, path)
        sync(self.root)
        self._remove(self._unfinished(stage, key))
        self._prune(stage)
        return Output(path, run, value, files)

    def unfinished(self, stage: str, key: str, empty: bool = False) -> Path:
        """A folder for what a stage needs to go on half-way; removed when its output is kept."""
        folder = self._unfinished(stage, key)
        if empty:
            self._remove(folder)
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        return folder

    def _unfinished(self, stage: str, key: str) -> Path:
        return self.root / f"{_UNFINISHED}{stage}-{key}"

    def _prune(self, stage: str) -> None:
        for prefix in (stage, f"{_UNFINISHED}{stage}"):
            found = [path for path in self.root.iterdir() if path.name.rpartition("-")[0] == prefix]
            for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)[: -self.keep]:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        """A rename first: what is half-removed must not carry an output's name."""
        if path.exists():
            removed = self.root / f"{_REMOVED}{secrets.token_hex(4)}"
            os.rename(path, removed)
            shutil.rmtree(removed)

    def _remove_leftovers(self) -> None:
        for path in self.root.iterdir():
            if path.name.startswith((_PARTIAL, _REMOVED)):
                shutil.rmtree(path)


def file_checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each file among `names` and below them, by its path from `folder`."""
    return {name: checksum(folder / name) for name in _files(folder, names)}


def _files(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Paths, from `folder`, of the files among `names` and below them, in order."""
    for name in names:
        path = folder / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file.relative_to(folder).as_posix() for file in found if file.is_file())
