"""`check_unaltered`: whether files of an open bundle are still those that were verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamrec.errors import BundleError
from streamrec.retrieval.manifest import FileRecord

if TYPE_CHECKING:
    from streamrec.retrieval.bundle import Bundle


def check_unaltered(bundle: Bundle, *parts: str) -> None:
    """Compare every file whose path begins with one of `parts` with the bundle's manifest.

    Raises:
        BundleError: a file is gone or is another one; the message names it.
    """
    for name, stated in bundle.manifest.files.items():
        if not name.startswith(parts):
            continue
        path = bundle.path / name
        try:
            with path.open("rb") as file:
                found = FileRecord.of(file)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot read a file of the bundle: {error.strerror or error}; open the current one"
            ) from None
        if found != stated:
            raise BundleError(f"{path}: altered since the bundle was opened; publish again")
