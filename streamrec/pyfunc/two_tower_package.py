"""Two towers written as an MLflow model: their files, their signature and what they need installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from streamrec.errors import TrackingError
from streamrec.pyfunc.package import REQUIREMENTS, requirements
from streamrec.retrieval.read_towers import open_towers

MODEL_CODE = Path(__file__).with_name("two_tower.py")
"""The file that MLflow copies into the model and runs on load."""
CHECKED_USERS = 5
"""Users to whom the written model must recommend as the towers do."""


def write_two_tower(path: Path, folder: Path, record: Model) -> dict[str, str]:
    """Write the MLflow model `path` of the towers that `write_towers` wrote into `folder`.

    It is then loaded as a consumer loads it and must recommend what the towers recommend. `record` is
    MLflow's description of the model, which is filled in.

    Returns:
        What tells versions apart: `dimension`, `items`, `users` and `encoder_fingerprint`.

    Raises:
        TrackingError: the model recommends other items than the towers.
        BundleError: the towers cannot be read.
    """
    towers = open_towers(folder)
    facts = {
        name: str(getattr(towers.facts, name))
        for name in ("dimension", "items", "users", "encoder_fingerprint")
    }
    users = towers.users.column.slice(0, CHECKED_USERS)
    histories = [towers.histories.row(position).tolist() for position in range(len(users))]
    known = [[towers.items.column[item].as_py() for item in history] or None for history in histories]
    request = pd.DataFrame({"user": pd.Series(users.to_pylist(), dtype=object)})
    mlflow.pyfunc.save_model(
        str(path),
        python_model=str(MODEL_CODE),
        artifacts={"towers": str(folder)},
        signature=ModelSignature(
            Schema([ColSpec(AnyType(), name, required=False) for name in ("user", "history")]),
            Schema([ColSpec(AnyType(), "items"), ColSpec(AnyType(), "scores")]),
            ParamSchema(
                [ParamSpec("k", DataType.long, 10), ParamSpec("exclude_seen", DataType.boolean, False)]
            ),
        ),
        input_example=request,
        pip_requirements=requirements(*REQUIREMENTS, "faiss-cpu", "scipy"),
        metadata=facts,
        mlflow_model=record,
    )
    loaded = mlflow.pyfunc.load_model(str(path))
    made = loaded.predict(request)
    _, expected = towers.items_for(towers.user_index.vectors(np.arange(len(users))), 10)
    ids = towers.items.column
    if made["items"].tolist() != [[ids[int(at)].as_py() for at in row if at >= 0] for row in expected]:
        raise TrackingError(f"{folder}: the MLflow model recommends other items than the towers")
    if any(known):  # the model itself must load as well
        loaded.predict(pd.DataFrame({"history": [history for history in known if history]}))
    shutil.rmtree(path / "__pycache__", ignore_errors=True)  # left by loading the code
    return facts
