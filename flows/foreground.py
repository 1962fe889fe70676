"""Flows run by a command: Prefect is started for them, and their stages are shown while they run."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from flows.runtime import start_prefect, wait_for_prefect
from streamrec.console import StageDisplay
from streamrec.stages.lock import sole_run
from streamrec.stages.store import KEPT


def run_in_foreground(
    flow: str,
    config: Any,
    verbose: bool,
    begun: float,
    tools: tuple[str, ...] = (),
    trained: str | None = None,
) -> Any:
    """The summary that the flow returns.

    Args:
        flow: `module:function`; it takes the configuration.
        config: Of the run.
        verbose: Show Prefect's and MLflow's logs.
        begun: When the command began (`time.perf_counter`): the summary's seconds are counted from then.
        tools: Modules that the flow will need; importing them takes as long as the server takes to start.
        trained: Name of the stage that trains. Where outputs of it are kept, the tools may not be needed and
            are left to the stages that are done.
    """
    module, _, name = flow.partition(":")
    wait = 60 * config.stages.wait_minutes
    # Before Prefect is started: two servers on one new database would break each other.
    with StageDisplay() as display, sole_run(config.out, name.replace("_", "-"), wait, display.told):
        with display.stage("start"):
            start_prefect(config.out, verbose)
            found = import_module(module)
            import_module("streamrec.pyfunc.registry")
            if trained is None or not any((config.out / KEPT).glob(f"{trained}-*")):
                for tool in tools:
                    import_module(tool)
            wait_for_prefect()
        from flows.stages import listening

        with listening(display):
            summary = getattr(found, name)(config)
    return summary.model_copy(update={"total_seconds": time.perf_counter() - begun})
