"""How the tasks of every flow treat results and errors."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State, TaskRun

from streamrec.errors import StreamRecError


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether an error may be gone after a moment: a disk or server that did not answer."""
    try:
        state.result()
    except Exception as error:
        cause = error.__cause__ if isinstance(error, StreamRecError) else error
        return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError | PermissionError)
    return False


STEP: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""A task that computes: what fails would fail again."""
IO_STEP: dict[str, Any] = STEP | {"retries": 2, "retry_delay_seconds": 2, "retry_condition_fn": _may_pass}
"""A task that speaks to disks and servers."""
