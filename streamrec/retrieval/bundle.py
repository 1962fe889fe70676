"""`Bundle`: a published directory, verified before anything is read from it. Never imports torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamrec.errors import BundleError
from streamrec.retrieval.items import ItemId, ItemTable, Where
from streamrec.retrieval.manifest import MANIFEST, Manifest
from streamrec.retrieval.recommend import Recommendations
from streamrec.retrieval.search import Neighbours, Searcher
from streamrec.retrieval.verify import BundleReader

CURRENT = "current"
"""Symbolic link, beside the bundles, to the one in use."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle held in memory: it stays usable when `current` moves on or the folder is removed."""

    path: Path
    """Folder of the bundle, links resolved."""
    manifest: Manifest
    searcher: Searcher
    recommendations: Recommendations | None = None
    """What its towers recommend to users; None in a bundle of items alone."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of each stage of its publication; empty for a bundle that was opened."""

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a bundle's folder, or the current bundle of a folder of bundles, and verify all of it.

        Verified: the manifest's own checksum; size and SHA-256 of every file; that manifest, table, index,
        codec and model agree on schema, codec, dimension and row count; that sampled items of the table are
        found in the index where the table has them; that towers, where it has them, were trained on its item
        encoder and have its items in its order.

        Raises:
            BundleError: naming the file, what it holds and what was expected.
        """
        while True:
            folder = resolve(Path(path))
            try:
                reader = BundleReader.of(folder)
                index, table, towers = reader.read()
            except BundleError:
                # `current` may have moved on, and the old bundle been removed, while it was being read.
                if resolve(Path(path)) == folder:
                    raise
            else:
                items = ItemTable(table, reader.manifest.features, str(folder))
                found = None if towers is None else Recommendations(towers, items)
                return cls(folder, reader.manifest, Searcher(index, items), found)

    @property
    def recommender(self) -> Recommendations:
        """What its towers recommend.

        Raises:
            BundleError: it has no towers.
        """
        if self.recommendations is None:
            raise BundleError(
                f"{self.path}: has items alone and recommends to no user; train towers on its items first"
            )
        return self.recommendations

    def neighbours(
        self, item_id: ItemId, k: int = 10, where: Where | None = None, exclude_self: bool = True
    ) -> Neighbours:
        """As `Searcher.neighbours`."""
        return self.searcher.neighbours(item_id, k, where, exclude_self)

    def search(self, vectors: np.ndarray, k: int = 10, where: Where | None = None) -> list[Neighbours]:
        """As `Searcher.search`."""
        return self.searcher.search(vectors, k, where)


def resolve(path: Path) -> Path:
    """The bundle folder that `path` means now: itself, or the target of its `current` link.

    Raises:
        BundleError: nothing is published there.
    """
    link = path / CURRENT if (path / CURRENT).is_symlink() else path
    while True:
        folder = Path(os.path.realpath(link))
        if (folder / MANIFEST).exists():
            return folder
        if Path(os.path.realpath(link)) == folder:
            break
    if link.is_symlink():
        problem = f"points to {folder}, which is no bundle (no {MANIFEST})"
    elif link.exists():
        problem = f"neither a bundle (no {MANIFEST}) nor a folder of bundles (no '{CURRENT}' link)"
    else:
        problem = "no such folder"
    raise BundleError(f"{link}: {problem}; publish a bundle first")
