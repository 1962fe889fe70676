"""`sample`, `impute`, `anomalies` and `interpolate`: what a run's models say of items, old and new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.commands.options import Out
from streamrec.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from streamrec.runs import Run

DRAW = "_draw"
"""Column of imputed tables: the number of the draw, from 1."""
CELL_WIDTH = 20
"""Longer cells are cut where items stand side by side."""

RunName = Annotated[
    str | None, typer.Option("--run", help="Name of a run; else the published one, or the newest.")
]
Seed = Annotated[int, typer.Option(help="Seed of the draws.", min=0)]
OutputFile = Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")]
OptionalFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="A Parquet file to write all of it to.")
]


def sample(
    output: OutputFile,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows.")] = 100,
    where: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="A category of every row; repeatable.")
    ] = None,
    model: Annotated[str, typer.Option(help="Family of the augmenter.")] = "flow",
    seed: Seed = 0,
    run: RunName = None,
    out: Out = Path("data"),
) -> None:
    """Draw new item rows from an augmenter of a run."""
    from streamrec.runs import find_run

    _require_new(output)
    chosen = find_run(out, run)
    condition = chosen.condition(where or [])
    drawn = chosen.augmenter(model).sample(n, condition, seed)
    _write(drawn, output)
    print(f"Wrote {n:,} rows of {model}, run {chosen.name}, to {output}")


def impute(
    table: Annotated[str, typer.Argument(help="Item table with missing cells: file, folder or URL.")],
    output: OutputFile,
    draws: Annotated[int, typer.Option(min=1, help="Tables drawn: what differs between them is unsure.")] = 5,
    seed: Seed = 0,
    run: RunName = None,
    out: Out = Path("data"),
) -> None:
    """Fill the missing cells of items, several times, given their other cells."""
    import pyarrow as pa

    from streamrec.augmenters.uncertainty import uncertainty_lines
    from streamrec.console import StageDisplay, align
    from streamrec.runs import find_run

    _require_new(output)
    chosen = find_run(out, run)
    augmenter = chosen.augmenter("flow")
    with StageDisplay() as display:
        with display.stage("read"):
            items = _read(table, chosen, out)
        with display.stage("impute"):
            found = augmenter.impute(items, draws, seed)
        numbered = [
            filled.add_column(0, DRAW, pa.repeat(number, len(filled)))
            for number, filled in enumerate(found, 1)
        ]
        _write(pa.concat_tables(numbered), output)
    print(align(uncertainty_lines(items, found, chosen.codec.schema)))
    print(f"\nWrote {draws} draws of {len(items):,} items, by '{DRAW}', to {output}")


def anomalies(
    table: Annotated[str | None, typer.Argument(help="Item table; without one, the run's own.")] = None,
    output: OptionalFile = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Items shown.")] = 10,
    rows: Annotated[int, typer.Option(min=1, help="Items looked at, at most: a sample by seed.")] = 20_000,
    seed: Seed = 0,
    run: RunName = None,
    out: Out = Path("data"),
) -> None:
    """Rank items by how odd they are, with the columns that make them so."""
    from streamrec.augmenters.anomalies import anomalies as rank_items
    from streamrec.augmenters.anomalies import anomaly_lines
    from streamrec.console import StageDisplay, align
    from streamrec.runs import find_run

    if output is not None:
        _require_new(output)
    chosen = find_run(out, run, augmenters=False)
    flow = chosen.augmenter("flow") if "flow" in chosen.families else None
    with StageDisplay() as display:
        with display.stage("read"):
            own = chosen.catalog.sample(rows, seed)
            items = own if table is None else _sampled(_read(table, chosen, out), rows, seed)
        with display.stage("judge") as progress:
            reference = None if table is None else own
            found = rank_items(items, chosen.encoder, flow, seed, reference, progress)
    if output is not None:
        _write(found, output)
    print(align(anomaly_lines(found.slice(0, k), items, chosen.codec.schema.item_id)))
    if flow is None:
        print(f"\nrun {chosen.name} has no flow: the ItemVAE alone judged")


def interpolate(
    first: Annotated[str, typer.Argument(metavar="A", help="Id of an item.")],
    last: Annotated[str, typer.Argument(metavar="B", help="Id of another.")],
    steps: Annotated[int, typer.Option(min=2, help="Rows on the way, both ends included.")] = 7,
    output: OptionalFile = None,
    run: RunName = None,
    out: Out = Path("data"),
) -> None:
    """Show the items that the ItemVAE finds on the way from one item to another."""

    from streamrec.console import align
    from streamrec.evaluation import formats
    from streamrec.evaluation.explore import interpolation
    from streamrec.evaluation.outputs import PATH
    from streamrec.runs import find_items, find_run

    if output is not None:
        _require_new(output)
    chosen = find_run(out, run, augmenters=False)
    items = chosen.catalog.table()
    ends = find_items(items, chosen.codec.schema.item_id, [first, last], str(chosen.catalog.path))
    rows = chosen.codec.encode(items.take(ends))
    _, path = interpolation(chosen.encoder.model, chosen.codec, rows, steps)
    if output is not None:
        _write(path, output)
    shares = [formats.percent(share, 0) for share in path[PATH].to_pylist()]
    names = [name for name in path.column_names if name != PATH]
    cells = [[name, *(_cut(formats.cell(value)) for value in path[name].to_pylist())] for name in names]
    print(align([[f"{first} - {last}", *shares], *cells]))


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (sample, impute, anomalies, interpolate):
        app.command()(command)


def _read(path: str, run: Run, out: Path) -> pa.Table:
    """The table at `path` as a catalogue of the run's schema, less what models do not read and it lacks."""
    from streamrec.catalog.ingest import ingest
    from streamrec.catalog.source import open_table
    from streamrec.config import IngestConfig

    schema = run.codec.schema
    try:
        source = open_table(path)
        source.schema([schema.item_id, *schema.feature_columns])
    except CatalogError as error:
        raise ConfigError(str(error)) from error
    found = source.columns
    there = {
        "timestamp": schema.timestamp if schema.timestamp in found else None,
        "display": tuple(name for name in schema.display if name in found),
    }
    ingested = ingest(IngestConfig(path=path), schema.model_copy(update=there), out / "read")
    return ingested.catalog.table()


def _sampled(table: pa.Table, rows: int, seed: int) -> pa.Table:
    import numpy as np

    from streamrec.evaluation.neighbours import draw_positions

    return table.take(draw_positions(np.random.default_rng(seed), len(table), rows))


def _cut(text: str) -> str:
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


def _require_new(path: Path) -> None:
    if path.exists():
        raise ConfigError(f"{path}: is there already; name another file with -o")


def _write(table: pa.Table, path: Path) -> None:
    from streamrec.catalog.write import TableWriter

    try:
        with TableWriter(path, table.schema) as writer:
            for batch in table.to_batches():
                writer.write(batch)
    except OSError as error:
        raise ConfigError(f"{path}: cannot write: {error.strerror or error}; name another with -o") from error
