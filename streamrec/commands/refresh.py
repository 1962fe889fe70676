"""`refresh`: the published items brought up to date by their own encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.commands.options import OutOverride, Settings, Verbose
from streamrec.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from streamrec.config import RefreshConfig


def refresh(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The YAML file of a refresh, or of the whole run.")
    ],
    settings: Settings = None,
    out: OutOverride = None,
    verbose: Verbose = False,
) -> None:
    """Encode new and changed items with the published encoder; publish them with those that are there."""
    begun = time.perf_counter()
    run_config = _configure(config, settings, out)
    from flows.foreground import run_in_foreground

    tools = ("streamrec.catalog.validate", "streamrec.retrieval.encoder")
    summary = run_in_foreground("flows.refresh_items:refresh_items", run_config, verbose, begun, tools)
    print(summary.to_text())


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(refresh)


def _configure(path: Path, settings: list[str] | None, out: Path | None) -> RefreshConfig:
    from streamrec.catalog.source import open_table
    from streamrec.config import RefreshConfig, load_config
    from streamrec.retrieval.bundle import resolve
    from streamrec.retrieval.manifest import MANIFEST, Manifest

    config = load_config(path, settings, RefreshConfig)
    config = config.model_copy(update={"out": out or config.out})
    schema = Manifest.read(resolve(config.out / "published") / MANIFEST).features
    try:  # what is mistyped or missing must not be found out after half a minute
        open_table(config.ingest.path, config.ingest.format).schema(schema.columns)
    except CatalogError as error:
        raise ConfigError(f"ingest: {error}") from error
    return config
