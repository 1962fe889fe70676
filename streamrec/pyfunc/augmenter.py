"""An augmenter as an MLflow model: MLflow copies this file into the logged model and runs it on load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from streamrec.augmenters.protocol import Condition
from streamrec.augmenters.store import load_augmenter
from streamrec.errors import StreamRecError
from streamrec.pyfunc.frame import frame_from_table

MOST_ROWS = 1_000_000
"""Rows of one call: a mistyped number must not take all of a server's memory."""


class AugmenterModel(PythonModel):
    """Requests in, a line each: how many rows, and the values they are to have. Rows out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the augmenter from the artifact `augmenter`."""
        self.augmenter = load_augmenter(context.artifacts["augmenter"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The feature columns of all requested rows, request after request; None where a cell is missing.

        Line i is drawn with seed + i: the same requests and seed give the same rows.

        Raises:
            MlflowException: a count or a condition that makes no sense (HTTP 400 when served).
        """
        seed = int((params or {}).get("seed", 0))
        counts = [_count(value) for value in model_input["n"]]
        if not counts:
            raise _invalid("found no request, expected at least a line with n")
        if sum(counts) > MOST_ROWS:
            raise _invalid(f"n: found {sum(counts):,} rows in all, expected at most {MOST_ROWS:,} a call")
        nothing = [None] * len(counts)
        conditions = map(_condition, model_input.get("condition", nothing))
        try:
            tables = [
                self.augmenter.sample(count, condition, seed + line)
                for line, (count, condition) in enumerate(zip(counts, conditions, strict=True))
            ]
        except StreamRecError as error:
            raise _invalid(str(error)) from error
        return frame_from_table(pa.concat_tables(tables))


def _count(value: Any) -> int:
    if value < 1:
        raise _invalid(f"n: found {value}, expected a number of rows, at least 1")
    return int(value)


def _condition(value: Any) -> Condition | None:
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise _invalid(f"condition: found {value!r}, expected JSON as '{EXAMPLE}'") from None
    if not isinstance(value, Mapping):
        raise _invalid(f"condition: found {value!r}, expected values by column, as {EXAMPLE}")
    return value or None


EXAMPLE = '{"channel": "lifestyle"}'


def _invalid(message: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(message)


set_model(AugmenterModel())
