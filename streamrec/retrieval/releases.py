"""`Releases`: the folder that holds the bundles, and the one atomic step that makes a bundle current."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamrec.errors import BundleError
from streamrec.files import sync
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, Manifest

_STAGING = ".staging-"
_REMOVED = ".removed-"
_LINK = ".current-"
_LOCK = ".lock"
_VERSION = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}")


class Releases:
    """Bundles under `root`, named by version; `current` links to the one in use.

    A process that dies at any moment leaves `current` on a complete bundle. What else it leaves is removed
    by the next `staging`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def versions(self) -> list[str]:
        """Versions present, oldest first."""
        return sorted(path.name for path in self.root.iterdir() if _VERSION.fullmatch(path.name))

    @property
    def manifests(self) -> dict[str, Manifest | None]:
        """Manifests of the versions present, oldest first; None where one cannot be read."""
        found: dict[str, Manifest | None] = {}
        for version in self.versions:
            try:
                found[version] = Manifest.read(self.root / version / MANIFEST)
            except BundleError:
                found[version] = None
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for, then hold, the right to add, remove and switch; a holder's death frees it."""
        with (self.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder on the same file system for one bundle in the making; removed at the end.

        Several processes may stage at once: each holds a lock in its folder, and a folder whose lock is
        free was left by a dead one.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        sync(self.root.parent)
        with self.locked():
            self._remove_leftovers()
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.root))
            lock = (folder / _LOCK).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            bundle = folder / "bundle"
            bundle.mkdir()
            yield bundle
        finally:
            with self.locked(), lock:
                shutil.rmtree(folder)

    def add(self, staged: Path, version: str) -> Path:
        """Move a complete bundle, already on disk, to its name; call it under `locked`.

        Raises:
            BundleError: the version is there already.
        """
        folder = self.root / version
        if folder.exists():
            raise BundleError(f"{folder}: this version is published already; give another creation time")
        os.rename(staged, folder)
        sync(self.root)
        return folder

    def make_current(self, version: str) -> None:
        """Go back (or forward) to a version that is still there, verified first.

        Raises:
            BundleError: no such version, or it does not verify; `current` stays as it was.
        """
        if version not in self.versions:
            raise BundleError(
                f"{self.root}: no version {version}; it has {', '.join(self.versions) or 'none'}"
            )
        with self.locked():
            Bundle.open(self.root / version)
            self.switch(version)

    def switch(self, version: str) -> None:
        """Make a version current in one atomic step; call it under `locked`."""
        link = self.root / f"{_LINK}{version}"
        link.symlink_to(version)
        os.replace(link, self.root / CURRENT)
        sync(self.root)

    def prune(self, keep: int) -> None:
        """Remove all but the current and the newest others, `keep` in all; call it under `locked`."""
        current = os.readlink(self.root / CURRENT)
        others = [version for version in self.versions if version != current]
        for version in others[: max(0, len(others) - (keep - 1))]:
            self.remove(version)

    def remove(self, version: str) -> None:
        """Remove a version that is not current; call it under `locked`."""
        # A rename first: a half-removed folder must not carry a bundle's name.
        removed = self.root / f"{_REMOVED}{version}"
        os.rename(self.root / version, removed)
        shutil.rmtree(removed)

    def _remove_leftovers(self) -> None:
        for path in self.root.iterdir():
            if path.name.startswith(_LINK):
                path.unlink()
            elif path.name.startswith(_REMOVED) or (path.name.startswith(_STAGING) and _abandoned(path)):
                shutil.rmtree(path)


def _abandoned(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
