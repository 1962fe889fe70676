"""The champion: the item encoder of the published bundle, and which items it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from streamrec.catalog.split import trained_rows
from streamrec.config import RunConfig
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.runs import Run, run_that_registered
from streamrec.schema import FeatureSchema


@dataclass(frozen=True)
class Champion:
    """The encoder in use."""

    bundle: Bundle
    encoder: ItemEncoder

    @property
    def version(self) -> str:
        """Version of its bundle."""
        return self.bundle.manifest.version


@dataclass(frozen=True)
class NoChampion:
    """Nothing to compare with."""

    reason: str
    """Why, in words."""
    bundle: Bundle | None = None
    """The current bundle, where it can be read."""


def find_champion(published: Path, schema: FeatureSchema) -> Champion | NoChampion:
    """The encoder of the current bundle under `published`, verified.

    A bundle that does not verify must not keep a better one from being published: it counts as none.
    """
    if not (published / CURRENT).is_symlink():
        return NoChampion("no champion: nothing is published yet")
    try:
        bundle = Bundle.open(published)
        found = bundle.manifest.schema_fingerprint
        if found != schema.fingerprint:
            told = f"the champion is of another schema: {found}, now {schema.fingerprint}"
            return NoChampion(told, bundle)
        return Champion(bundle, ItemEncoder.load(bundle.path))
    except BundleError as error:
        return NoChampion(f"no champion: the current bundle cannot be used: {error}")


def items_trained_on(bundle: Bundle, runs: Path) -> pa.Array | None:
    """Ids of the items that the bundle's encoder was trained on; None where it cannot be told.

    They follow from the number and order of the items of the training's catalogue, which are those of the
    bundle, or of the folder of its run where the bundle was refreshed since.

    Args:
        bundle: of the encoder.
        runs: folder of the runs.
    """
    manifest = bundle.manifest
    known = {name: value for name, value in (manifest.config or {}).items() if name in RunConfig.model_fields}
    try:
        config = RunConfig.model_validate(known)
    except ValidationError:
        return None
    if manifest.refreshed is None:
        ids = bundle.searcher.items.ids.column
    else:
        run = run_that_registered(runs, str(manifest.model.name), str(manifest.model.version))
        found = None if run is None else _ids(run, manifest.features.item_id)
        if found is None:
            return None
        ids = found
    return ids.take(pa.array(trained_rows(len(ids), config))).combine_chunks()


def _ids(run: Run, column: str) -> pa.ChunkedArray | None:
    try:
        return pq.read_table(run.folder / "catalog.parquet", columns=[column])[column]
    except (OSError, pa.ArrowException):
        return None
