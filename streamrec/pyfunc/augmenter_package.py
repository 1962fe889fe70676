"""An augmenter written as an MLflow model: its files, its signature and what it needs installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from streamrec.augmenters.store import load_augmenter
from streamrec.errors import TrackingError
from streamrec.pyfunc.frame import frame_from_table
from streamrec.pyfunc.package import REQUIREMENTS, requirements

MODEL_CODE = Path(__file__).with_name("augmenter.py")
"""The file that MLflow copies into the model and runs on load."""
CHECKED_ROWS = 5
"""Rows that the written model must make as the augmenter makes them."""


def write_augmenter(path: Path, folder: Path, record: Model) -> dict[str, str]:
    """Write the MLflow model `path` of the augmenter in `folder`.

    It is then loaded as a consumer loads it and must make the augmenter's own rows. `record` is MLflow's
    description of the model, which is filled in.

    Returns:
        What tells versions apart: `family`, `schema_fingerprint` and `codec_fingerprint`.

    Raises:
        TrackingError: the model makes other rows than the augmenter.
        BundleError: the augmenter cannot be loaded.
    """
    augmenter = load_augmenter(folder)
    schema = augmenter.schema
    facts = {
        "family": augmenter.family,
        "schema_fingerprint": schema.fingerprint,
        "codec_fingerprint": augmenter.codec.fingerprint,
    }
    request = pd.DataFrame({"n": [CHECKED_ROWS]})
    mlflow.pyfunc.save_model(
        str(path),
        python_model=str(MODEL_CODE),
        artifacts={"augmenter": str(folder)},
        signature=ModelSignature(
            Schema([ColSpec(DataType.long, "n"), ColSpec(AnyType(), "condition", required=False)]),
            Schema([ColSpec(AnyType(), name) for name in schema.feature_columns]),
            ParamSchema([ParamSpec("seed", DataType.long, 0)]),
        ),
        input_example=request,
        pip_requirements=requirements(*REQUIREMENTS, "scikit-learn", "scipy", "torchdiffeq"),
        metadata={**facts, "schema": schema.model_dump(mode="json")},
        mlflow_model=record,
    )
    made = mlflow.pyfunc.load_model(str(path)).predict(request)
    if not made.equals(frame_from_table(augmenter.sample(CHECKED_ROWS, seed=0))):
        raise TrackingError(f"{folder}: the MLflow model makes other rows than the augmenter")
    shutil.rmtree(path / "__pycache__", ignore_errors=True)  # left by loading the code
    return facts
