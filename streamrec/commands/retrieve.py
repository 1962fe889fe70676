"""`retrieve`: towers trained on users' events with the published items, published where they are better."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.commands.options import Fresh, OutOverride, Settings, Verbose
from streamrec.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from streamrec.user_config import UserRetrievalConfig


def retrieve(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML file of a run over users.")],
    settings: Settings = None,
    out: OutOverride = None,
    verbose: Verbose = False,
    fresh: Fresh = False,
) -> None:
    """Train towers on users' events; publish them with the items where they beat their baselines."""
    begun = time.perf_counter()
    run_config = _configure(config, (settings or []) + ["stages.fresh=true"] * fresh, out)
    from flows.foreground import run_in_foreground

    tools = ("streamrec.fit_user_retrieval", "streamrec.interactions.validate")
    summary = run_in_foreground(
        "flows.user_retrieval:user_retrieval", run_config, verbose, begun, tools, trained="train-towers"
    )
    print(summary.to_text())


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(retrieve)


def _configure(path: Path, settings: list[str] | None, out: Path | None) -> UserRetrievalConfig:
    from streamrec.catalog.source import open_table
    from streamrec.config import load_config
    from streamrec.retrieval.bundle import resolve
    from streamrec.user_config import UserRetrievalConfig

    config = load_config(path, settings, UserRetrievalConfig)
    config = config.model_copy(update={"out": out or config.out})
    try:  # what is mistyped or missing must not be found out after half a minute
        open_table(config.interactions.path, config.interactions.format).schema(config.interactions.columns)
        if config.users is not None:
            open_table(config.users.path, config.users.format).schema(config.users.features.columns)
    except CatalogError as error:
        raise ConfigError(str(error)) from error
    resolve(config.out / "published")
    return config
