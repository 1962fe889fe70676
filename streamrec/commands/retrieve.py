"""`retrieve`: towers trained on users' events with the published items, published where they are better."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from streamrec.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from flows.retrieval_summary import RetrievalSummary
    from streamrec.user_config import UserRetrievalConfig


def retrieve(
    config: Annotated[Path, typer.Option("--config", "-c", help="The YAML file of a run over users.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="A setting, over the file's; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the runs and bundles, over the file's (data).")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show Prefect's and MLflow's logs.")] = False,
) -> None:
    """Train towers on users' events; publish them with the items where they beat their baselines."""
    begun = time.perf_counter()
    run_config = _configure(config, settings, out)
    from flows.runtime import start_prefect, wait_for_prefect
    from streamrec.console import StageDisplay

    with StageDisplay() as display:
        with display.stage("start"):
            start_prefect(run_config.out, verbose)
            # Importing the tools takes as long as the server takes to start.
            import streamrec.fit_user_retrieval
            import streamrec.interactions.validate
            import streamrec.tracking  # noqa: F401
            from flows.stages import listening
            from flows.user_retrieval import user_retrieval

            wait_for_prefect()
        with listening(display):
            # Called directly, a flow that ends in a state of its own gives what the state holds.
            summary = cast("RetrievalSummary", user_retrieval(run_config))
    print(summary.model_copy(update={"total_seconds": time.perf_counter() - begun}).to_text())


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
