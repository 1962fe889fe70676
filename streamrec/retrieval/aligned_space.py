"""`AlignedSpace`: the space of a run's encoder, rotated onto what was published when it was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamrec.catalog.table import Catalog
from streamrec.retrieval.alignment import align
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.manifest import MANIFEST, Alignment, FileRecord, Manifest, encoder_fingerprint
from streamrec.retrieval.rotation import save_rotation


@dataclass(frozen=True)
class AlignedSpace:
    """What came of the alignment; the rotation itself lies with the encoder."""

    onto: str | None = None
    """Fingerprint of the encoder that was published; None where nothing was."""
    alignment: Alignment | None = None
    """None where there was nothing to align to: see `align`."""
    space: str | None = None
    """The space that is gone on with; None: a new one begins."""

    def holds(self, folder: Path, published: Path) -> bool:
        """Whether the encoder in `folder` is still to lie as it does, beside what is published now.

        It is where that is the same encoder as then, or the encoder in `folder` itself.
        """
        current = _current(published)
        if current is None:
            return self.onto is None
        return current.encoder_fingerprint in (self.onto, fingerprint(folder))

    def space_beside(self, folder: Path, published: Path) -> str | None:
        """The space of a bundle made now by the encoder in `folder`; None: a new one begins."""
        current = _current(published)
        if current is not None and current.encoder_fingerprint == fingerprint(folder):
            return current.space or current.version
        return self.space


def align_encoder(folder: Path, catalog: Catalog, published: Path, seed: int) -> AlignedSpace:
    """Align the encoder in `folder` onto the current bundle below `published`, where there is one.

    The rotation is written beside the model; nothing else in `folder` changes.

    Raises:
        StreamRecError: the bundle does not verify, or the encoder cannot be loaded.
    """
    if _current(published) is None:
        return AlignedSpace()
    from streamrec.retrieval.encoder import ItemEncoder

    bundle = Bundle.open(published)
    found = align(ItemEncoder.load(folder), catalog, bundle, seed)
    if found is None:
        return AlignedSpace(bundle.manifest.encoder_fingerprint)
    save_rotation(found.rotation, folder / "model")
    return AlignedSpace(bundle.manifest.encoder_fingerprint, found.alignment, found.space)


def fingerprint(folder: Path) -> str:
    """Fingerprint of the encoder in `folder`/codec and `folder`/model, as a bundle of it has."""
    records = {}
    for part in ("codec", "model"):
        for path in (folder / part).iterdir():
            with path.open("rb") as file:
                records[f"{part}/{path.name}"] = FileRecord.of(file)
    return encoder_fingerprint(records)


def _current(published: Path) -> Manifest | None:
    path = (published / CURRENT).resolve() / MANIFEST
    return Manifest.read(path) if path.exists() else None
