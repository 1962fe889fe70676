"""Two towers as an MLflow model: MLflow copies this file into the logged model and runs it on load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from streamrec.errors import StreamRecError
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.read_towers import open_towers
from streamrec.retrieval.tower_encoder import TowerEncoder

MOST_SCORES = 10_000_000
"""Recommendations of one call: a mistyped number must not take all of a server's memory."""


class TwoTowerModel(PythonModel):
    """A line per user in, by id or by history; the best items and their scores out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load vectors, indexes and the model from the artifact `towers`."""
        folder = Path(context.artifacts["towers"])
        self.towers = open_towers(folder)
        self.encoder = TowerEncoder.load(folder)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Columns `items` and `scores`, lists each, best first: fewer than `k` where no more are left.

        A line has a known `user`, or a `history`: ids of items that the user has seen, the oldest first. A
        history goes before the user, whose own is then not used.

        Raises:
            MlflowException: an unknown id, or a line with neither (HTTP 400 when served).
        """
        given = params or {}
        k, exclude_seen = int(given.get("k", 10)), bool(given.get("exclude_seen", False))
        if k * len(model_input) > MOST_SCORES:
            raise _invalid(
                f"k: found {k} for {len(model_input):,} lines, expected at most {MOST_SCORES:,} in all"
            )
        try:
            vectors, seen = self._users(model_input)
            scores, positions = self.towers.items_for(vectors, k, without=seen if exclude_seen else None)
        except StreamRecError as error:
            raise _invalid(str(error)) from error
        ids = np.array(self.towers.items.column.to_pylist(), dtype=object)
        found = [row[row >= 0] for row in positions]
        return pd.DataFrame(
            {
                "items": pd.Series([ids[row].tolist() for row in found], dtype=object),
                "scores": pd.Series(
                    [row[: len(own)].tolist() for row, own in zip(scores, found, strict=True)], dtype=object
                ),
            }
        )

    def _users(self, lines: pd.DataFrame) -> tuple[np.ndarray, Lists]:
        """Vectors of the users and the items that they have seen."""
        nothing = [None] * len(lines)
        vectors = np.empty((len(lines), self.towers.facts.dimension), dtype=np.float32)
        seen: list[np.ndarray] = []
        strangers = []
        for line, (user, history) in enumerate(
            zip(lines.get("user", nothing), lines.get("history", nothing), strict=True)
        ):
            if isinstance(history, list | tuple | np.ndarray) and len(history):
                seen.append(np.array(list(dict.fromkeys(map(self.towers.items.position, history)))))
                strangers.append(line)
            elif (known := _user_id(user)) is not None:
                position = self.towers.users.position(known)
                seen.append(self.towers.histories.row(position))
                vectors[line] = self.towers.user_index.vector(position)
            else:
                raise _invalid(f"line {line + 1}: found no user and no history, expected one of them")
        if strangers:
            vectors[strangers] = self.encoder.users([seen[line] for line in strangers])
        return vectors, Lists.of(seen)


def _user_id(value: Any) -> str | int | None:
    """The id in a cell; None where it is missing. Pandas holds integers beside missing cells as floats."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer())
    return int(value) if whole else None


def _invalid(message: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(message)


set_model(TwoTowerModel())
