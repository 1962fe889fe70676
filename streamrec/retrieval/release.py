"""The last steps of every publication: checksums, manifest, sync, verify, switch."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamrec.errors import BundleError
from streamrec.files import sync_tree
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, FileRecord, Manifest
from streamrec.retrieval.releases import Releases


class Stopwatch:
    """Adds up seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time inside the `with` block as `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


def release(
    releases: Releases,
    folder: Path,
    facts: Mapping[str, Any],
    keep: int,
    clock: Stopwatch,
    created: datetime | None = None,
    while_current: str | None = None,
    replaces: bool = False,
) -> Bundle:
    """Describe, verify and make current the bundle whose files are complete in `folder`.

    Args:
        releases: where it goes.
        folder: its folder, from `releases.staging`.
        facts: of the manifest, all but version, time and files; without a space the bundle begins one.
        keep: bundles kept.
        clock: takes the seconds of the stages.
        created: time of publication, with a time zone; now, by default.
        while_current: the version that must still be current.
        replaces: remove that version, once this one is current.

    Raises:
        BundleError: the bundle does not verify, or another version became current. That one stays so.
        OSError: the disk refuses.
    """
    with clock("checksums"):
        files = _records(folder)
    # Under the lock, so that versions sort in the order in which they became current.
    with releases.locked():
        current = (releases.root / CURRENT).resolve().name
        if while_current is not None and current != while_current:
            raise BundleError(
                f"{releases.root}: {current} became current meanwhile, expected still {while_current}; "
                "make this one again from the current bundle"
            )
        created = (created or datetime.now(UTC)).astimezone(UTC)
        version = _version(created, files)
        own = {**facts, "space": facts.get("space") or version}
        manifest = Manifest(**own, version=version, created=created, files=files)
        (folder / MANIFEST).write_bytes(manifest.to_json())
        with clock("sync"):
            sync_tree(folder)
        with clock("verify"):
            bundle = Bundle.open(folder)
        with clock("switch"):
            path = releases.add(folder, manifest.version)
            releases.switch(manifest.version)
            if replaces and while_current is not None:
                releases.remove(while_current)
            releases.prune(keep)
    return replace(bundle, path=path.resolve(), seconds=dict(clock.seconds))


def carried(manifest: Manifest) -> dict[str, Any]:
    """Facts of a bundle that hold as well for one with more or fewer parts and the same encoder."""
    names = [name for name in type(manifest).model_fields if name not in ("version", "created", "files")]
    return {name: getattr(manifest, name) for name in names} | {"space": manifest.space or manifest.version}


def not_published(root: Path, error: OSError) -> BundleError:
    """What to say when the disk refuses."""
    reason = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return BundleError(f"{root}: cannot publish: {reason}; `current` is as it was")


def _records(folder: Path) -> dict[str, FileRecord]:
    records = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            records[path.relative_to(folder).as_posix()] = FileRecord.of(file)
    return records


def _version(created: datetime, files: dict[str, FileRecord]) -> str:
    content = "".join(f"{name} {record.sha256}\n" for name, record in files.items())
    return f"{created:%Y%m%dT%H%M%S.%fZ}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
