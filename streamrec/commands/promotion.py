"""`promote` and `rollback`: what is published is chosen by hand, and the reason is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.commands.options import Out
from streamrec.errors import ConfigError

Why = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="The reason; it is recorded.")]


def promote(
    challenger: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|VERSION",
            help="Name of a run, or version of its model; else the newest that was refused.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where gates do not hold.")] = False,
    why: Why = None,
    out: Out = Path("data"),
) -> None:
    """Publish a challenger that was refused: where its gates hold now, or by force."""
    if force != (why is not None) or (why is not None and not why.strip()):
        raise ConfigError("promote: --force needs a reason, and a reason is for --force: --force --why TEXT")
    from streamrec.console import StageDisplay, align
    from streamrec.promotion.promote import find_challenger, promote_challenger
    from streamrec.promotion.refusal import decision_screen

    run = find_challenger(out, challenger)
    with StageDisplay() as display, display.stage("promote") as progress:
        found = promote_challenger(out, run, why, progress)
    print(f"{decision_screen(found.decision)}\n")
    model = "none" if found.model is None else f"{found.model.name} version {found.model.version}"
    print(align([("run", run.name), ("bundle", str(found.bundle.path)), ("champion", model)]))


def rollback(
    version: Annotated[
        str | None,
        typer.Argument(help="Bundle to go to (see streamrec info); else the one before the current."),
    ] = None,
    why: Why = None,
    out: Out = Path("data"),
) -> None:
    """Make an older bundle current again, and the models that it names the champions."""
    from streamrec.promotion.rollback import rollback as go_back
    from streamrec.promotion.stores import store_of

    published = out / "published"
    found = go_back(published, lambda: store_of(published), version, why)
    if found.resumed:
        print("Finished a rollback that had been interrupted.")
    print(f"{found.step.after} is current; it was {found.step.before}.")
    for model in found.champions:
        print(f"champion: {model.name} version {model.version}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(promote)
    app.command()(rollback)
