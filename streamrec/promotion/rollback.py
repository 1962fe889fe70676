"""`rollback`: an older bundle is current again, and the registry's champions are those that it names.

What is to be done is written down before the first step and struck out after the last: a rollback that was
killed half-way is finished by the next one, however often that is killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from streamrec.errors import BundleError, TrackingError
from streamrec.files import replacing, sync
from streamrec.promotion.aliases import TAKEN_BACK, name_champion, source_of
from streamrec.pyfunc.registry import RegisteredModel, tag_version
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, Manifest, ModelSource
from streamrec.retrieval.releases import Releases
from streamrec.tracking import TrackingStore

JOURNAL = ".rollback.json"
"""File beside the bundles, as long as a rollback is not finished."""


@dataclass(frozen=True)
class Rollback:
    """A step back, or forward, from one bundle to another."""

    before: str
    """Version that was current."""
    after: str
    """Version that is to be."""
    why: str | None = None


@dataclass(frozen=True)
class RolledBack:
    """A rollback that is done."""

    step: Rollback
    champions: tuple[RegisteredModel, ...]
    """The versions that are champions now."""
    resumed: bool
    """Whether it had been begun before, and was only finished."""


def rollback(
    published: Path,
    open_store: Callable[[], TrackingStore],
    version: str | None = None,
    why: str | None = None,
) -> RolledBack:
    """Make `version`, by default the one before the current, current; then move the champions.

    The bundle is verified first. Nobody publishes meanwhile. Without a version, a rollback that was killed is
    finished instead, unless something else was published since.

    Args:
        published: folder of the bundles.
        open_store: opens the tracking store, once the bundle is back.
        version: of the bundle to go to; the current one, to verify it and mend the registry.
        why: the reason, kept as a tag of the versions of the models.

    Raises:
        BundleError: there is no such version, none before the current one, or it does not verify; nothing has
            changed.
        TrackingError: the bundle is back, but the registry could not follow; calling again mends it.
    """
    if not (published / CURRENT).is_symlink():
        raise BundleError(f"{published}: nothing is published; there is nothing to go back to")
    releases = Releases(published)
    with releases.locked():
        step, resumed = _plan(published, releases, version, why)
        Bundle.open(published / step.after)
        before = _manifest(published / step.before)
        _write(published / JOURNAL, step)
        if _current(published) != step.after:
            releases.switch(step.after)
        try:
            champions = _move(Manifest.read(published / step.after / MANIFEST), before, step, open_store())
        except TrackingError as error:
            raise TrackingError(
                f"{published}: {step.after} is current again, but the registry could not follow: {error}; "
                "run streamrec rollback again once that is mended"
            ) from error
        (published / JOURNAL).unlink()
        sync(published)
    return RolledBack(step, champions, resumed)


def _plan(published: Path, releases: Releases, version: str | None, why: str | None) -> tuple[Rollback, bool]:
    current = _current(published)
    begun = _read(published / JOURNAL)
    if begun is not None and version in (None, begun.after) and current in (begun.before, begun.after):
        return begun, True
    versions = releases.versions
    if version is None:
        older = [known for known in versions if known < current]
        if not older:
            raise BundleError(
                f"{published}: there is no version before {current}; it has {', '.join(versions)}"
            )
        version = older[-1]
    if version not in versions:
        raise BundleError(f"{published}: no version {version}; it has {', '.join(versions)}")
    return Rollback(current, version, why), False


def _move(
    after: Manifest, before: Manifest | None, step: Rollback, store: TrackingStore
) -> tuple[RegisteredModel, ...]:
    tags = {"rollback": f"from bundle {step.before}"} if step.before != step.after else {}
    tags |= {"rollback.why": step.why} if step.why else {}
    moved = []
    for part in ("items", "towers"):
        champion = name_champion(after, store, part, tags)
        left = None if before is None else source_of(before, part)
        if champion is None:
            continue
        moved.append(champion)
        if left is not None and _other(left, champion) and step.after < step.before:
            told = f"to bundle {step.after}" + (f": {step.why}" if step.why else "")
            tag_version(store.of_model(str(left.name)), int(str(left.version)), {TAKEN_BACK: told})
    return tuple(moved)


def _other(left: ModelSource, champion: RegisteredModel) -> bool:
    """Whether a registered model was left for another version."""
    registered = left.name is not None and left.version is not None
    return registered and (left.name, left.version) != (champion.name, str(champion.version))


def _current(published: Path) -> str:
    return os.readlink(published / CURRENT)


def _manifest(folder: Path) -> Manifest | None:
    """None where what was current is broken, which may be why it is left."""
    try:
        return Manifest.read(folder / MANIFEST)
    except BundleError:
        return None


def _write(path: Path, step: Rollback) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(asdict(step)) + "\n", encoding="utf-8")
    sync(path.parent)


def _read(path: Path) -> Rollback | None:
    try:
        return Rollback(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
