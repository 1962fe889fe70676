"""The `streamrec` command: each command is a few lines over the library.

Commands import what they use when they are called: `streamrec --help` loads nothing heavy, and `search`
never loads torch.
"""

from __future__ import annotations

import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.commands.items import register as register_items
from streamrec.commands.options import ConfigFile, Fresh, Out, OutOverride, Settings, Verbose
from streamrec.commands.promotion import register as register_promotion
from streamrec.commands.recommend import conditions
from streamrec.commands.recommend import register as register_recommend
from streamrec.commands.refresh import register as register_refresh
from streamrec.commands.retrieve import register as register_retrieve
from streamrec.commands.serve import register as register_serve
from streamrec.errors import CatalogError, ConfigError, NotPromotedError, StreamRecError

if TYPE_CHECKING:
    from streamrec.config import RunConfig

app = typer.Typer(
    help="From a content platform's item table to validated, published, queryable item embeddings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


def main() -> None:
    """Run the command; errors that the user can act on are one line, without a traceback."""
    try:
        app()
    except StreamRecError as error:
        if isinstance(error, NotPromotedError):
            print(error.decision)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


@app.command()
def init(
    table: Annotated[str, typer.Argument(help="Item table: file, folder or URL.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "streamrec.yaml"
    ),
) -> None:
    """Draft a configuration from an item table, to be reviewed."""
    from streamrec.catalog.infer import draft_config

    try:
        draft = draft_config(table)
    except CatalogError as error:
        raise ConfigError(str(error)) from error
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(draft)
    except OSError as error:
        raise ConfigError(
            f"{output}: cannot write the draft: {error.strerror}; name another with -o"
        ) from error
    print(f"Wrote {output}. Review the roles of the columns, then: streamrec run -c {output}")


@app.command()
def run(
    config: ConfigFile = None,
    settings: Settings = None,
    out: OutOverride = None,
    verbose: Verbose = False,
    fresh: Fresh = False,
) -> None:
    """Make, validate, train, evaluate, register and publish item embeddings."""
    begun = time.perf_counter()
    run_config = _configure(config, (settings or []) + ["stages.fresh=true"] * fresh, out)
    from flows.foreground import run_in_foreground

    tools = ("streamrec.catalog.validate", "streamrec.retrieval.encoder")
    summary = run_in_foreground(
        "flows.item_embeddings:item_embeddings", run_config, verbose, begun, tools, trained="train"
    )
    print(summary.to_text())


@app.command()
def compare(config: ConfigFile = None, settings: Settings = None, out: OutOverride = None) -> None:
    """Fit generative models of the items and judge the rows that they make, without publishing."""
    run_config = _configure(config, settings, out)
    from streamrec.augmenters.findings import lines, metrics, reason
    from streamrec.catalog.make import make_catalog
    from streamrec.config import run_name
    from streamrec.console import StageDisplay, align
    from streamrec.evaluation.synthetic.outputs import COMPARISON_PAGE, COMPARISON_TABLE
    from streamrec.fit import fit_augmenters, fit_item_encoder
    from streamrec.tracking import prepare_store

    name = run_name()
    folder = run_config.out.resolve() / "runs" / name
    with StageDisplay() as display:
        with display.stage("track"):
            store = prepare_store(run_config.track)
        with store.start_run(name) as run:
            run.log_config(run_config)
            with display.stage("read") as progress:
                catalog = make_catalog(run_config, folder, progress).catalog
            with display.stage("train") as progress:
                epochs = run_config.train.epochs
                fit_item_encoder(
                    catalog, run_config, folder, [lambda numbers: progress(int(numbers["epoch"]), epochs)]
                )
            with display.stage("augment") as progress:
                compared = fit_augmenters(catalog, run_config, folder, progress)
            run.log_metrics(metrics(compared.comparison))
            for file in (COMPARISON_TABLE, COMPARISON_PAGE):
                run.log_files(compared.folder / file, compared.folder.name)
    print(align(lines(compared.comparison, compared.labels)))
    print(f"\n{reason(compared.comparison)}\n")
    print(align([("page", str(compared.folder / COMPARISON_PAGE)), ("best", str(compared.best))]))


@app.command()
def augment(
    column: Annotated[str, typer.Option("--column", help="Categorical column whose rare values are filled.")],
    target: Annotated[int, typer.Option("--target", min=1, help="Training rows that each value is to have.")],
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Trainings with and without.")] = 5,
    config: ConfigFile = None,
    settings: Settings = None,
    out: OutOverride = None,
) -> None:
    """Fill rare categories with synthetic rows; keep them only where held-out real items gain."""
    run_config = _configure(config, settings, out)
    from streamrec.augmenters.lift import REPORT, TABLE
    from streamrec.augmenters.rare import rare_lift
    from streamrec.augmenters.settings import AugmentersConfig
    from streamrec.catalog.make import make_catalog
    from streamrec.catalog.split import split_items
    from streamrec.config import run_name
    from streamrec.console import StageDisplay, align

    folder = run_config.out.resolve() / "runs" / run_name()
    with StageDisplay() as display:
        with display.stage("read") as progress:
            catalog = make_catalog(run_config, folder, progress).catalog
            split = split_items(catalog, run_config)
        with display.stage("augment") as progress:
            found = rare_lift(
                *split,
                catalog.schema,
                run_config,
                run_config.augmenters or AugmentersConfig(),
                column,
                target,
                range(run_config.seed, run_config.seed + seeds),
                progress,
            )
    found.write(folder)
    print(align(found.lines()))
    synthetic = len(found.table) - len(split.train)
    kept = f"{synthetic:,} synthetic rows are kept" if found.kept else "the synthetic rows are left out"
    print(f"\n{', '.join(found.train_rows)}: {kept}\n")
    print(align([("table", str(folder / TABLE)), ("report", str(folder / REPORT))]))


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")] = Path(
        "items.parquet"
    ),
    preset: Annotated[str, typer.Option(help="independent or structured.")] = "independent",
    items: Annotated[int, typer.Option(help="Number of rows.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 42,
    truth: Annotated[Path | None, typer.Option(help="File to write the ground truth to.")] = None,
    interactions: Annotated[
        Path | None, typer.Option(help="Parquet file to write events of users with the items to.")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Number of users.")] = 5_000,
    events: Annotated[int, typer.Option(min=1, help="Number of events.")] = 200_000,
    user_table: Annotated[
        Path | None, typer.Option(help="Parquet file to write the users' features to.")
    ] = None,
    interactions_truth: Annotated[
        Path | None, typer.Option(help="File (npz) to write the users' true relevances to.")
    ] = None,
) -> None:
    """Write a synthetic item table, and on request users and their events with the items."""
    if interactions is None and (user_table or interactions_truth):
        raise ConfigError("--user-table, --interactions-truth: nothing to write; add --interactions FILE")
    if interactions is not None and preset != "structured":
        raise ConfigError(
            f"--interactions: found preset '{preset}', whose items have no factors; add --preset structured"
        )
    from tempfile import TemporaryDirectory

    from streamrec.catalog import generate as generator
    from streamrec.config import GenerateConfig, parse_config
    from streamrec.console import StageDisplay

    settings = {"preset": preset, "items": items, "seed": seed}
    config = parse_config({"generate": settings}, source="streamrec").generate or GenerateConfig()
    with StageDisplay() as display, TemporaryDirectory() as scratch:
        if interactions is None:
            with display.stage("generate") as progress:
                generator.generate(config, output, truth, progress)
        else:
            from streamrec.interactions import generate as events_generator

            item_truth = truth or Path(scratch) / "truth.parquet"
            with display.stage("generate") as progress:
                generator.generate(config, output, item_truth, progress)
            with display.stage("interact") as progress:
                events_generator.generate_interactions(
                    events_generator.GenerateInteractionsConfig(users=users, events=events, seed=seed),
                    output,
                    item_truth,
                    events_generator.InteractionFiles(interactions, user_table, interactions_truth),
                    progress,
                )
    print(f"Wrote {items:,} items to {output}. Next: streamrec init {output}")
    if interactions is not None:
        print(f"Wrote {events:,} events of {users:,} users to {interactions}.")


@app.command()
def validate(config: ConfigFile = None, settings: Settings = None, out: OutOverride = None) -> None:
    """Ingest and check the item table, without training on it."""
    run_config = _configure(config, settings, out)
    from streamrec.catalog.make import make_catalog
    from streamrec.catalog.validate import validate as check
    from streamrec.console import StageDisplay
    from streamrec.retrieval.reference import published_profile
    from streamrec.screens import align

    folder = run_config.out / "validated"
    with StageDisplay() as display:
        with display.stage("read") as progress:
            ingested = make_catalog(run_config, folder, progress)
        with display.stage("validate") as progress:
            reference = published_profile(run_config.out / "published", ingested.catalog.schema)
            result = check(
                ingested.catalog,
                run_config.validation,
                folder / "validation",
                reference,
                run_config.seed,
                progress,
            )
    print(f"{ingested.rows_read:,} rows read, {ingested.rows_refused:,} refused")
    for reason, rows in ingested.reasons.items():
        print(f"  {reason}: {rows:,}")
    for note in (*ingested.notes, *result.notes):
        print(note)
    print(align(result.summary_rows()))
    print(f"Details: {result.files['summary']}")
    result.raise_for_critical()


@app.command()
def search(
    item: Annotated[str, typer.Option("--item", help="Id of the item whose neighbours are wanted.")],
    k: Annotated[int, typer.Option("-k", help="Number of neighbours.")] = 10,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only items with this value; repeatable."),
    ] = None,
    out: Out = Path("data"),
) -> None:
    """Find the items closest to an item in the current bundle."""
    from streamrec.retrieval.bundle import Bundle
    from streamrec.screens import neighbours_table

    wanted = conditions(where or [])
    print(neighbours_table(Bundle.open(out / "published").neighbours(item, k, wanted)))


@app.command()
def info(out: Out = Path("data")) -> None:
    """Describe the current bundle, and name the others."""
    from streamrec.retrieval.bundle import resolve
    from streamrec.retrieval.manifest import MANIFEST, Manifest
    from streamrec.retrieval.releases import Releases
    from streamrec.screens import manifest_page, versions_list

    path = resolve(out / "published")
    print(manifest_page(path, Manifest.read(path / MANIFEST)))
    print(versions_list(Releases(path.parent).manifests, path.name))


@app.command()
def doctor(config: ConfigFile = None, settings: Settings = None, out: OutOverride = None) -> None:
    """Check the installation: packages, device, stores and folders."""
    from flows.runtime import start_prefect, wait_for_prefect
    from streamrec.doctor import examine

    def check_prefect() -> str:
        start_prefect(run_config.out)
        return wait_for_prefect()

    run_config = _configure(config, settings, out)
    healthy = True
    for finding in examine(run_config, {"prefect": check_prefect}):
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.detail}", flush=True)
        healthy &= finding.ok
    raise typer.Exit(0 if healthy else 1)


def _configure(path: Path | None, settings: list[str] | None, out: Path | None) -> RunConfig:
    from streamrec.config import QUICK_RUN, load_config, parse_config

    config = load_config(path, settings) if path else parse_config(deepcopy(QUICK_RUN), settings, "streamrec")
    if config.ingest is not None and config.features is not None:
        from streamrec.catalog.source import open_table

        try:  # a mistyped path or column must not be found out after half a minute
            open_table(config.ingest.path, config.ingest.format).schema(config.features.columns)
        except CatalogError as error:
            raise ConfigError(f"ingest: {error}") from error
    return config.model_copy(update={"out": out or config.out})


register_items(app)
register_refresh(app)
register_retrieve(app)
register_recommend(app)
register_promotion(app)
register_serve(app)

if __name__ == "__main__":
    main()
