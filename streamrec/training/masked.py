"""`MaskedObjective`: trains the any-order model of the discrete columns."""

from __future__ import annotations

import torch
from torch import Tensor

from streamrec.models.batch import ItemBatch
from streamrec.models.discrete import DiscreteColumns
from streamrec.models.masked import order_agnostic_nats
from streamrec.models.masked_network import MaskedNetwork

VALIDATION_DRAWS = 4
"""Sets of known cells per held-out item."""


class MaskedObjective:
    """Nats per item of the discrete columns, at most (`order_agnostic_nats`)."""

    def __init__(self, network: MaskedNetwork, columns: DiscreteColumns) -> None:
        self.module = network
        self._network, self._columns = network, columns

    def prepare(self, items: ItemBatch) -> tuple[Tensor]:
        """Class codes (n, K) of the items."""
        return (self._columns.codes(items),)

    def settings(self, share: float) -> dict[str, float]:
        """None is scheduled."""
        return {}

    def loss(self, tensors: tuple[Tensor], share: float, generator: torch.Generator) -> Tensor:
        """Mean bound of the batch, each item with one random set of known cells."""
        return order_agnostic_nats(self._network, tensors[0], generator).mean()

    def validate(self, tensors: tuple[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """`loss`: the mean bound, over `VALIDATION_DRAWS` sets of known cells per item."""
        bounds = [
            order_agnostic_nats(self._network, tensors[0], generator).mean() for _ in range(VALIDATION_DRAWS)
        ]
        return {"loss": torch.stack(bounds).mean()}
