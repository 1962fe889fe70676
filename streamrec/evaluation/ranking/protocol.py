"""`Recommender`: what is judged, known here by its scores only."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


class Recommender(Protocol):
    """Scores every item of the catalogue for users, seen items and all; the evaluation masks what is seen."""

    @property
    def name(self) -> str:
        """What tables and pages call it; no two that are compared have the same."""
        ...

    def scores(self, users: Positions) -> NDArray[np.float32]:
        """(u, I) scores, higher is better; -inf where an item must not be recommended.

        Args:
            users: (u,) positions of users in `Interactions.user_ids`; a user without history is valid.
        """
        ...
