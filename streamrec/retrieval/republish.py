"""`republish`: the current bundle once more, with one folder of it made anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from streamrec.errors import BundleError
from streamrec.files import link
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.release import Stopwatch, carried, not_published, release
from streamrec.retrieval.releases import Releases


def republish(
    root: Path,
    bundle: Bundle,
    part: str,
    write: Callable[[Path], object],
    changes: Mapping[str, Any],
    keep: int,
    created: datetime | None = None,
    replaces: bool = False,
) -> Bundle:
    """Publish all files of the current bundle under `root`, those below the folder `part` written anew.

    The other files are the same ones (hard links where the file system has them). A process that dies at any
    moment leaves `current` on a whole bundle.

    Args:
        root: folder of bundles.
        bundle: it must still be current.
        part: folder inside the bundle; what it held is left out.
        write: called with the folder to make.
        changes: fields of the manifest that say what is in it.
        keep: bundles kept, this one included.
        created: time of publication, with a time zone; now, by default.
        replaces: remove the bundle that this one was made of, once this one is current.

    Raises:
        BundleError: another bundle became current meanwhile; the disk refuses. The old bundle stays current
            and whole.
    """
    releases, clock = Releases(root), Stopwatch()
    try:
        with releases.staging() as folder:
            with clock("copy"):
                for name in bundle.manifest.files:
                    if not name.startswith(f"{part}/"):
                        link(bundle.path / name, folder / name)
                write(folder / part)
            facts, current = carried(bundle.manifest) | dict(changes), bundle.manifest.version
            return release(releases, folder, facts, keep, clock, created, current, replaces)
    except FileNotFoundError as error:
        raise BundleError(
            f"{error.filename}: gone; open the current bundle and make its {part} again"
        ) from error
    except OSError as error:
        raise not_published(root, error) from error
