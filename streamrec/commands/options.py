"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The run's YAML file; without one, a synthetic table is made."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="A setting, over the file's; repeatable."),
]
OutOverride = Annotated[
    Path | None, typer.Option("--out", help="Folder for runs and bundles, over the file's (data).")
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the runs and bundles.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Prefect's and MLflow's logs.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Do every stage again, also those that are finished.")]
