"""`serve`: the current bundle over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def serve(
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Folder of bundles (data/published).")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on (127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on (8080).")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that answer, each with a bundle in memory (1).")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="Bearer tokens, one per line; or STREAMREC_TOKENS. None: open."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Start although nothing is published yet; answer 503 until then.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=VALUE", help="A setting, as limits.max_k=500; repeatable."),
    ] = None,
) -> None:
    """Answer over HTTP from the current bundle; follow it to its next version."""
    from streamrec.config import parse_config
    from streamrec.serving.settings import ServeConfig

    given: dict[str, Any] = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "workers": workers,
        "token_file": token_file,
        "wait": wait or None,
    }
    told = {name: value for name, value in given.items() if value is not None}
    checked = parse_config(told, settings, "streamrec serve", ServeConfig)
    from streamrec.serving.run import serve as run

    run(checked)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(serve)
