"""What the flows have in common where a challenger is held against the champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.states import Failed, State

from flows.steps import IO_STEP

if TYPE_CHECKING:
    from streamrec.promotion.decision import Decision
    from streamrec.pyfunc.registry import RegisteredModel
    from streamrec.tracking import TrackedRun

NOT_PROMOTED = "NotPromoted"
"""Name of the failed state of a run whose challenger was refused."""


@task(**IO_STEP)
def record_decision(
    run: TrackedRun, folder: Path, model: RegisteredModel, decision: Decision, flow: str
) -> None:
    """Write the decision into the run's folder; show it in MLflow, at run and version, and in Prefect."""
    from streamrec.promotion.decision import DECISION, DECISION_TABLE
    from streamrec.pyfunc.registry import tag_version

    decision.write(folder)
    for file in (DECISION, DECISION_TABLE):
        run.log_files(folder / file)
    run.set_tags(decision.to_tags())
    tag_version(run.store.of_model(model.name), model.version, decision.to_tags())
    create_markdown_artifact(
        decision.to_markdown(), key=f"{flow}-promotion", description=f"{folder.name}: {decision.headline}"
    )


def not_promoted(decision: Decision, folder: Path) -> State[Any]:
    """The state of a run in `folder` whose challenger was refused; it alerts as any failure does."""
    from streamrec.promotion.refusal import refusal

    error = refusal(decision, folder.name, folder.parents[1])
    get_run_logger().warning(decision.headline)
    return Failed(name=NOT_PROMOTED, message=str(error), data=error)
