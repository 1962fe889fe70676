from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from flows.steps import IO_STEP, RETRIES
from streamrec.errors import BundleError, CatalogError, TimeLimitError, TrackingError


def raised_from(error: Exception, cause: Exception | None) -> Exception:
    try:
        raise error from cause
    except Exception as found:
        return found


def raised_while(error: Exception, handled: Exception) -> Exception:
    try:
        try:
            raise handled
        except Exception:
            raise error  # noqa: B904
    except Exception as found:
        return found


class BusyError(Exception):
    error_code = "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(5, "Input/output error"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (BusyError(), True),
        (raised_from(CatalogError("cannot write"), OSError(5, "Input/output error")), True),
        (raised_from(TrackingError("no answer"), raised_while(BusyError(), ConnectionError())), True),
        (raised_while(RuntimeError("API request failed"), ConnectionError()), True),
        (raised_from(CatalogError("gone"), FileNotFoundError(2, "no such file")), False),
        (PermissionError(13, "not allowed"), False),
        (raised_from(BundleError("not a bundle"), None), False),
        (ZeroDivisionError(), False),
        (TimeLimitError("too long"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:
    def result() -> None:
        raise error

    state: Any = SimpleNamespace(result=result)
    assert IO_STEP["retry_condition_fn"](None, None, state) == again


def test_delays_grow() -> None:
    delays = IO_STEP["retry_delay_seconds"](RETRIES)
    assert len(delays) == RETRIES
    assert all(later == 2 * earlier for earlier, later in pairwise(delays))
