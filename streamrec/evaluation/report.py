"""`write_report`: a run on one HTML page that needs no network."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from markupsafe import Markup

from streamrec.catalog.checks import ValidationResult
from streamrec.catalog.ingest import Ingested
from streamrec.config import RunConfig, dump_config
from streamrec.evaluation.inline import inline_svg
from streamrec.evaluation.outputs import (
    FIRST,
    INTERPOLATION,
    LAST,
    NEIGHBOURS,
    PATH,
    PICTURES,
    QUERY,
    RANK,
    SAMPLES,
    SIMILARITY,
)
from streamrec.evaluation.pages import environment, write_page
from streamrec.evaluation.quality import LatentQuality
from streamrec.schema import FeatureSchema
from streamrec.training.history import History

SHOWN_NUMBERS = 4
"""Numeric columns in a table of items: those that the latent explains best."""

_LABELS = {
    "training.svg": "Curves of the losses, the rate, the distortion and beta by epoch",
    "units.svg": "Bars of the rate of each latent unit",
    "map.svg": "Map of the items in the principal plane of the latent space",
    "columns.svg": "Bars of how much of each column the latent explains",
    "interpolation.svg": "Decoded columns on the way from item A to item B",
}


@dataclass(frozen=True)
class Published:
    """The bundle of the run."""

    path: Path
    """Its folder, in the folder of published bundles."""
    manifest: Mapping[str, Any]
    """Content of its `manifest.json`."""
    example: str
    """Id of one of its items."""


@dataclass(frozen=True)
class Durations:
    """Where the time went, in seconds."""

    stages: Mapping[str, float]
    """By stage, in order."""
    compute: Mapping[str, float]
    """The stages that made something."""
    orchestration: Mapping[str, float]
    """The rest, by what took it."""
    total: float
    reused: Mapping[str, str] = field(default_factory=dict)
    """Stages whose output is an earlier one, and where that came from."""


@dataclass(frozen=True)
class AugmentersReport:
    """Generative models of the rows, side by side; nothing but an error where none could be fitted."""

    error: str | None = None
    """What went wrong."""
    best: str | None = None
    """The family that was chosen."""
    reason: str | None = None
    """Why it was."""
    lines: Sequence[Sequence[str]] = ()
    """A header and a line per figure: the figure, then floors and families."""
    page: str | None = None
    """Where the whole comparison is, from the report's folder."""


@dataclass(frozen=True)
class PromotionReport:
    """Whether the encoder replaces the one in use, and why."""

    headline: str
    """In one sentence."""
    promoted: bool
    lines: Sequence[Sequence[str]]
    """A header and a line per gate: gate, figures, outcome (`passed`, `failed` or another), reason."""
    notes: Sequence[str] = ()
    """What to know of the comparison."""


@dataclass(frozen=True)
class RunReport:
    """What is told of a run; a part that a run did not come to is None."""

    run: str
    """Its name."""
    config: RunConfig
    ingested: Ingested | None = None
    validation: ValidationResult | None = None
    history: History | None = None
    quality: LatentQuality | None = None
    evaluation: Path | None = None
    """Folder that `evaluate_item_encoder` wrote."""
    published: Published | None = None
    durations: Durations | None = None
    augmenters: AugmentersReport | None = None
    promotion: PromotionReport | None = None


def write_report(path: Path, report: RunReport) -> None:
    """Write the page, whole or not at all; everything it shows is inside the one file."""
    write_page(path, render(report))


def render(report: RunReport) -> str:
    """The page."""
    template = environment().from_string((files("streamrec.evaluation") / "report.html").read_text("utf-8"))
    schema = report.ingested.catalog.schema if report.ingested else report.config.features
    return template.render(
        report=report,
        schema=schema,
        roles=[] if schema is None else _roles(schema),
        source=_source(report.config),
        settings=dump_config(report.config),
        spaces=[] if report.quality is None else _spaces(report.quality),
        pictures=_pictures(report.evaluation),
        neighbours=_neighbours(report, schema),
        samples=_samples(report, schema),
        path=_path(report, schema),
        first=FIRST,
        last=LAST,
        commands=None if report.published is None else _commands(report.published),
        catalogue_bytes=_bytes(report.ingested),
    )


def _source(config: RunConfig) -> str:
    if config.ingest is not None:
        return config.ingest.path
    made = config.generate
    return "" if made is None else f"synthetic, preset {made.preset}, seed {made.seed}"


def _roles(schema: FeatureSchema) -> list[tuple[str, tuple[str, ...]]]:
    roles = [
        ("id", (schema.item_id,)),
        ("categories", schema.categorical),
        ("labels", schema.multi_label_names),
        ("numbers", schema.numeric),
        ("timestamp", (schema.timestamp,) if schema.timestamp else ()),
        ("display", schema.display),
    ]
    return [(role, names) for role, names in roles if names]


@dataclass(frozen=True)
class Measure:
    """One measure of the spaces compared: (latent, PCA, features); None where it has no meaning."""

    name: str
    values: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """The better of latent and PCA as it is printed."""
        return max((round(value, 3) for value in self.values[:2] if value is not None), default=None)


def _spaces(quality: LatentQuality) -> list[Measure]:
    spaces = [quality.spaces[name] for name in ("latent", "pca", "features")]
    rows = [
        Measure("Neighbour recall, cosine", tuple(space.neighbour_recall for space in spaces)),
        Measure("Neighbour recall, Euclidean", tuple(space.neighbour_recall_euclidean for space in spaces)),
        Measure("Variance kept within categories", tuple(space.variance_kept for space in spaces)),
    ]
    for name in spaces[0].purity:
        rows.append(Measure(f"Purity of {name}", tuple(space.purity[name] for space in spaces)))
    for name in spaces[0].label_overlap:
        rows.append(Measure(f"Overlap of {name}", tuple(space.label_overlap[name] for space in spaces)))
    return rows


def _pictures(folder: Path | None) -> dict[str, Markup]:
    if folder is None:
        return {}
    found = {name.removesuffix(".svg"): folder / name for name in PICTURES if (folder / name).exists()}
    return {
        name: Markup(inline_svg(file.read_bytes(), name, _LABELS[file.name])) for name, file in found.items()
    }


@dataclass(frozen=True)
class ItemTable:
    """Items as rows of a table: `leading` cells of each, then `columns`."""

    columns: list[str]
    rows: list[dict[str, Any]]
    numeric: frozenset[str]
    wide: frozenset[str]
    """Columns whose cells may be long: they wrap."""


def _table(report: RunReport, file: str) -> pa.Table | None:
    path = None if report.evaluation is None else report.evaluation / file
    return None if path is None or not path.exists() else pq.read_table(path)


def _shown(report: RunReport, schema: FeatureSchema, with_names: bool) -> list[str]:
    """Columns worth showing of an item, in the schema's order."""
    explained = {}
    if report.quality is not None:
        explained = {c["column"]: c["explained"] or 0.0 for c in report.quality.columns}
    best = sorted(schema.numeric, key=lambda name: -explained.get(name, 0.0))[:SHOWN_NUMBERS]
    numbers = [name for name in schema.numeric if name in best]
    features = [*schema.categorical, *schema.multi_label_names, *numbers]
    return [schema.item_id, *schema.display, *features] if with_names else features


def _items(report: RunReport, schema: FeatureSchema | None, file: str, with_names: bool) -> ItemTable | None:
    table = _table(report, file)
    if table is None or schema is None:
        return None
    columns = _shown(report, schema, with_names)
    wide = frozenset((schema.item_id, *schema.display, *schema.multi_label_names))
    return ItemTable(columns, table.to_pylist(), frozenset(schema.numeric), wide)


def _samples(report: RunReport, schema: FeatureSchema | None) -> ItemTable | None:
    return _items(report, schema, SAMPLES, with_names=False)


def _path(report: RunReport, schema: FeatureSchema | None) -> ItemTable | None:
    found = _items(report, schema, INTERPOLATION, with_names=False)
    if found is None:
        return None
    return ItemTable([PATH, *found.columns], found.rows, found.numeric | {PATH}, found.wide)


@dataclass(frozen=True)
class Neighbourhood:
    """An item and its neighbours, nearest first."""

    item: dict[str, Any]
    neighbours: list[dict[str, Any]]


@dataclass(frozen=True)
class NeighbourTable(ItemTable):
    """Items with their neighbours."""

    groups: list[Neighbourhood]


def _neighbours(report: RunReport, schema: FeatureSchema | None) -> NeighbourTable | None:
    found = _items(report, schema, NEIGHBOURS, with_names=True)
    if found is None:
        return None
    groups: list[Neighbourhood] = []
    for row in found.rows:
        row["similarity"] = row.pop(SIMILARITY)
        row.pop(QUERY)
        if row.pop(RANK) == 0:
            groups.append(Neighbourhood(row, []))
        else:
            groups[-1].neighbours.append(row)
    return NeighbourTable(found.columns, found.rows, found.numeric, found.wide, groups)


def _commands(published: Published) -> dict[str, str]:
    """How to ask the bundle: on the command line and from Python."""
    folder = published.path.parent
    item, out = shlex.quote(published.example), shlex.quote(str(folder.parent))
    return {
        "shell": f"streamrec search --item {item} -k 10 --out {out}\nstreamrec info --out {out}",
        "python": "\n".join(
            [
                "from streamrec.retrieval.bundle import Bundle",
                "",
                f"bundle = Bundle.open({json.dumps(str(folder))})",
                f"found = bundle.neighbours({json.dumps(published.example)}, k=10)",
                "for item, score in zip(found.ids, found.scores):",
                '    print(f"{score:.3f}  {item}")',
            ]
        ),
    }


def _bytes(ingested: Ingested | None) -> int | None:
    if ingested is None or not ingested.catalog.path.exists():
        return None
    return ingested.catalog.path.stat().st_size
