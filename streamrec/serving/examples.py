"""Values for examples, taken from the bundle in use."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamrec.serving.served import Served

_ROWS = 100


def some_filter(served: Served) -> dict[str, Any]:
    """A condition that one of the first items meets; empty where nothing can be filtered by."""
    schema = served.bundle.manifest.features
    for row in served.features(np.arange(min(_ROWS, len(served.items)))):
        for name in schema.categorical:
            if row[name] is not None:
                return {name: row[name]}
    return {}


def as_text(value: Any) -> str:
    """A value of a condition as a query writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
