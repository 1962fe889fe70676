"""`ItemContent`: what is known of every item without a single event, as arrays in the catalogue's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import StreamRecError


class ContentError(StreamRecError):
    """Arrays of content that do not describe the same items."""


@dataclass(frozen=True)
class ItemContent:
    """Two views of I items; row i of both belongs to position i of `Interactions.item_ids`."""

    latents: NDArray[np.float32]
    """(I, d) posterior means of the `ItemVAE`."""
    features: NDArray[np.float32]
    """(I, F) encoded features: scaled numbers, labels and one-hot categories times `ONE_HOT_SCALE`."""

    def __post_init__(self) -> None:
        for name in ("latents", "features"):
            values = getattr(self, name)
            if values.ndim != 2:
                raise ContentError(f"content {name}: shape {values.shape}, expected (items, width)")
            bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
            if len(bad):
                raise ContentError(
                    f"content {name}, item {bad[0]}: a value is not finite, expected numbers; encode it again"
                )
        if len(self.latents) != len(self.features):
            raise ContentError(
                f"content: {len(self.latents)} items have latents and {len(self.features)} have features, "
                "expected the same items; encode both from one catalogue"
            )

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, items: NDArray[np.int64]) -> ItemContent:
        """Content of the items at these positions, in their order."""
        return ItemContent(self.latents[items], self.features[items])
