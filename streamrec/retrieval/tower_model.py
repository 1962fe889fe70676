"""`TowerModel`: what retrieval needs of a two-tower model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class TowerModel(Protocol):
    """Vectors of users and items whose inner products rank items for a user."""

    @property
    def dimension(self) -> int:
        """Entries of a vector."""

    def item_vectors(self, latents: np.ndarray, features: np.ndarray, ids: Sequence[Any]) -> np.ndarray:
        """(n, k) float32 of items, known to the model by id or not."""

    def user_vectors(
        self,
        histories: list[np.ndarray],
        latents: np.ndarray,
        features: np.ndarray,
        ids: Sequence[Any],
        user_features: np.ndarray | None = None,
    ) -> np.ndarray:
        """(u, k) float32 of users; a history holds rows of the item arrays given, none twice."""

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
