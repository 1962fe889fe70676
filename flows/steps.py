"""How the tasks of every flow treat results and errors."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State, TaskRun
from prefect.tasks import exponential_backoff

RETRIES = 4
"""After about 2, 4, 8 and 16 seconds: the restart of a server is waited for."""
BACKOFF_SECONDS = 2.0
JITTER = 0.5
"""Delays are drawn anew, on average this share away from those: runs that fail together come back apart."""


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether an error may be gone after a moment: a disk or server that did not answer."""
    try:
        state.result()
    except Exception as error:
        return any(_is_passing(cause) for cause in _causes(error))
    return False


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it was raised from, the outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, OSError):  # also of the libraries that speak HTTP
        return not isinstance(error, FileNotFoundError | FileExistsError | PermissionError)
    # MLflow's code for a server that is starting, or a database that is busy.
    return getattr(error, "error_code", None) == "TEMPORARILY_UNAVAILABLE"


STEP: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""A task that computes: what fails would fail again."""
IO_STEP: dict[str, Any] = STEP | {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=BACKOFF_SECONDS),
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": _may_pass,
}
"""A task that speaks to disks and servers."""
