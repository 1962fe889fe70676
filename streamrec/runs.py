"""`Run`: the folder that a run left, with its catalogue, its encoder and its augmenters."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError, ConfigError
from streamrec.retrieval.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from streamrec.augmenters.augmenter import TableAugmenter
    from streamrec.retrieval.encoder import ItemEncoder

RUNS, AUGMENTERS, SUMMARY = "runs", "augmenters", "summary.json"


@dataclass(frozen=True)
class Run:
    """A run's folder; nothing is read before it is asked for."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.folder.name

    @property
    def families(self) -> list[str]:
        """Families of the augmenters that it has."""
        return sorted(path.parent.name for path in (self.folder / AUGMENTERS).glob("*/augmenter.json"))

    @property
    def registered(self) -> tuple[str, str] | None:
        """Name and version of the model that it registered; None where it came to none."""
        try:
            found = json.loads((self.folder / SUMMARY).read_text(encoding="utf-8"))
            return str(found["model"]), str(found["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def codec(self) -> FeatureCodec:
        """Its codec."""
        return FeatureCodec.load(self.folder / "codec")

    @cached_property
    def encoder(self) -> ItemEncoder:
        """Its codec and ItemVAE."""
        from streamrec.retrieval.encoder import ItemEncoder

        return ItemEncoder.load(self.folder)

    @property
    def catalog(self) -> Catalog:
        """Its catalogue."""
        return Catalog(self.folder / "catalog.parquet", self.codec.schema)

    def augmenter(self, family: str) -> TableAugmenter:
        """Its augmenter of a family.

        Raises:
            ConfigError: it has none of that family.
        """
        from streamrec.augmenters.store import load_augmenter

        if family not in self.families:
            hint = suggestion(family, self.families)
            raise ConfigError(f"run {self.name}: no augmenter '{family}'{hint}")
        return load_augmenter(self.folder / AUGMENTERS / family)

    def condition(self, where: list[str]) -> dict[str, Any]:
        """Values of categorical columns from `column=value` texts, in the types of their columns.

        Raises:
            ConfigError: not of that form, no such categorical column, or a value that training never saw.
        """
        found: dict[str, Any] = {}
        columns = {category.name: category for category in self.codec.categories}
        for text in where:
            name, separator, value = text.partition("=")
            if not separator:
                raise ConfigError(f"--where {text}: expected column=value")
            if name in found:
                raise ConfigError(f"--where {text}: '{name}' has a value already; a row has one")
            if name not in columns:
                raise ConfigError(
                    f"--where {text}: no categorical column '{name}'{suggestion(name, columns)}"
                )
            known = {str(item): item for item in columns[name].vocabulary.to_pylist()}
            if value not in known:
                raise ConfigError(f"--where {text}: '{name}' has no '{value}'{suggestion(value, known)}")
            found[name] = known[value]
        return found


def find_run(out: Path, name: str | None = None, augmenters: bool = True) -> Run:
    """The run of that name; without one that of the published bundle, or else the newest.

    Args:
        out: folder of the runs and bundles.
        name: of the run.
        augmenters: pass over runs that have none.

    Raises:
        ConfigError: no run of that name, or it has no augmenters.
        BundleError: there is no run to choose.
    """
    runs = {path.name: Run(path) for path in sorted((out / RUNS).glob("*")) if (path / "model").is_dir()}
    missing = "fit some with a section `augmenters` in the configuration, or `streamrec compare`"
    if name is not None:
        if name not in runs:
            raise ConfigError(f"{out / RUNS}: no run '{name}'{suggestion(name, runs)}")
        if augmenters and not runs[name].families:
            raise ConfigError(f"run {name}: has no augmenters; {missing}")
        return runs[name]
    usable = [run for run in runs.values() if run.families or not augmenters]
    if not usable:
        what = "no run with augmenters" if augmenters else "no run"
        raise BundleError(f"{out / RUNS}: {what}; {missing if augmenters else 'make one: streamrec run'}")
    current = _current(out / "published" / "current")
    return next((run for run in usable if current is not None and run.registered == current), usable[-1])


def run_that_registered(runs: Path, model: str, version: str) -> Run | None:
    """The run, of those whose folders are in `runs`, that registered a version of a model."""
    found = (Run(path) for path in sorted(runs.glob("*")))
    return next((run for run in found if run.registered == (model, version)), None)


def find_items(table: pa.Table, item_id: str, wanted: list[str], label: str) -> list[int]:
    """Rows of the items with these ids, given as text.

    Raises:
        ConfigError: no such item; the message names close ids.
    """
    ids = [str(value) for value in table[item_id].to_pylist()]
    rows = {value: row for row, value in enumerate(ids)}
    for value in wanted:
        if value not in rows:
            raise ConfigError(f"{label}: no item '{value}'{suggestion(value, rows)}")
    return [rows[value] for value in wanted]


def suggestion(wanted: str, known: Any) -> str:
    """`; did you mean ...?`, or what there is."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(wanted, names[:20_000], n=3)
    if close:
        return f"; did you mean {' or '.join(repr(name) for name in close)}?"
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"; found {shown or 'none'}"


def _current(bundle: Path) -> tuple[str, str] | None:
    """Name and version of a bundle's encoder; a bundle that was published again with towers keeps it."""
    try:
        model = Manifest.read(bundle / MANIFEST).model
    except BundleError:
        return None
    return str(model.name), str(model.version)
