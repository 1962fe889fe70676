"""The item encoder as an MLflow model: MLflow copies this file into the logged model and runs it on load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from streamrec.errors import StreamRecError
from streamrec.pyfunc.frame import table_from_frame
from streamrec.retrieval.encoder import ItemEncoder


class ItemEncoderModel(PythonModel):
    """Raw item rows in, embeddings out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the encoder from the artifacts `codec` and `model`, which lie side by side."""
        self.encoder = ItemEncoder.load(Path(context.artifacts["codec"]).parent)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> NDArray[np.float32]:
        """Embeddings (n, d) float32, in row order.

        Raises:
            MlflowException: a column is missing or holds another kind of value (HTTP 400 when served).
        """
        try:
            return self.encoder.encode(table_from_frame(model_input, self.encoder.schema.feature_columns))
        except StreamRecError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ItemEncoderModel())
