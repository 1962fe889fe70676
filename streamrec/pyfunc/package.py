"""An item encoder written as an MLflow model: its files, its signature and what it needs installed."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from streamrec.errors import TrackingError
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema

MODEL_CODE = Path(__file__).with_name("item_encoder.py")
"""The file that MLflow copies into the model and runs on load."""
EXAMPLE_ROWS = 5
"""Rows stored with the model."""
REQUIREMENTS = ("streamrec", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "safetensors", "torch")
"""Packages that decide whether the model loads and which vectors it gives."""


def write_model(path: Path, encoder_folder: Path, rows: pa.Table, record: Model) -> dict[str, str]:
    """Write the MLflow model `path` of the encoder in `encoder_folder`/codec and `encoder_folder`/model.

    It holds JSON, npz, safetensors and one file of code. It is then loaded as a consumer loads it and must
    give the first `EXAMPLE_ROWS` of `rows`, its stored example, the encoder's own embeddings. `record` is
    MLflow's description of the model, which is filled in.

    Returns:
        What tells versions apart: `dimension`, `schema_fingerprint` and `codec_fingerprint`.

    Raises:
        TrackingError: the model gives other embeddings than the encoder.
        StreamRecError: the encoder cannot be loaded, or `rows` lacks a feature column.
    """
    encoder = ItemEncoder.load(encoder_folder)
    schema = encoder.schema
    example = rows.select([name for name in schema.columns if name in rows.column_names])[:EXAMPLE_ROWS]
    expected = encoder.encode(example)
    frame = pd.DataFrame(example.to_pydict(), dtype=object)  # missing cells as null: NaN is not JSON
    facts = {
        "dimension": str(encoder.dimension),
        "schema_fingerprint": schema.fingerprint,
        "codec_fingerprint": encoder.codec_fingerprint,
    }
    mlflow.pyfunc.save_model(
        str(path),
        python_model=str(MODEL_CODE),
        artifacts={part: str(encoder_folder / part) for part in ("codec", "model")},
        signature=_signature(schema, encoder.dimension),
        input_example=frame,
        pip_requirements=requirements(*REQUIREMENTS),
        metadata={**facts, "schema": schema.model_dump(mode="json")},
        mlflow_model=record,
    )
    if not np.array_equal(mlflow.pyfunc.load_model(str(path)).predict(frame), expected):
        raise TrackingError(f"{encoder_folder}: the MLflow model gives other embeddings than the encoder")
    shutil.rmtree(path / "__pycache__", ignore_errors=True)  # left by loading the code
    return facts


def _signature(schema: FeatureSchema, dimension: int) -> ModelSignature:
    """Columns by name and of any type: the encoder reads more kinds of cells than MLflow's types allow.

    MLflow refuses categories of pandas, integers beside missing cells, and whole numbers for decimals.
    """
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), name, required=name in schema.feature_columns) for name in schema.columns
    ]
    return ModelSignature(Schema(columns), Schema([TensorSpec(np.dtype(np.float32), (-1, dimension))]))


def requirements(*packages: str) -> list[str]:
    """The packages in the versions that are installed here."""
    # "+cpu" names a build that other machines cannot install.
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in packages]
