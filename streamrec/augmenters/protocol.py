"""`Augmenter`: what every generative family can do with item tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.schema import FeatureSchema

Condition = Mapping[str, str]
"""Values that categorical columns are to have, by column: `{"channel": "lifestyle"}`."""


@dataclass(frozen=True)
class Capabilities:
    """What a family can do beyond sampling."""

    condition: bool
    """`sample` takes a condition."""
    log_prob: bool
    """`log_prob` is there."""
    impute: bool
    """`impute` is there."""


class Augmenter(Protocol):
    """A fitted model of item rows: it makes feature columns of the schema, in its order and its types."""

    @property
    def family(self) -> str:
        """`vae`, `diffusion`, `flow`, `latent_diffusion` or `latent_flow`."""
        ...

    @property
    def schema(self) -> FeatureSchema:
        """Columns of the item table it was fitted on."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond sampling."""
        ...

    def sample(self, n: int, condition: Condition | None = None, seed: int = 0) -> pa.Table:
        """Draw rows (n,); the same arguments give the same rows on CPU.

        Raises:
            CatalogError: the condition names no categorical column, or a value that training never saw.
            SamplingError: the family takes no condition.
        """
        ...

    def log_prob(self, table: pa.Table, seed: int = 0) -> NDArray[np.float64]:
        """Log density (n,) of rows, in nats and in the units of the table.

        Cells that hold an atom, a category or nothing count with their probability, all others with their
        density.

        Raises:
            SamplingError: the family has no likelihood.
        """
        ...

    def impute(self, table: pa.Table, draws: int, seed: int = 0) -> list[pa.Table]:
        """Tables (n,) like `table` in which every missing cell is drawn given the row's other cells.

        Raises:
            SamplingError: the family cannot.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write safetensors and JSON into `folder`; `load_augmenter` reads them back."""
        ...
