"""`VectorObjective`: the loss of a flow or a diffusion on the scores of item rows."""

from __future__ import annotations

import torch
from torch import Tensor

from streamrec.models.batch import ScoreBatch
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.flow.model import FlowMatching


class VectorObjective:
    """Mean loss of a batch; repeated values are spread over their intervals anew in every batch.

    Args:
        model: on vectors.
    """

    def __init__(self, model: FlowMatching | Diffusion) -> None:
        self.module = self._model = model

    def prepare(self, items: ScoreBatch) -> tuple[Tensor, ...]:
        """Scores, interval ends and conditions."""
        return items.scores, items.low, items.high, items.condition

    def loss(self, tensors: tuple[Tensor, ...], share: float, generator: torch.Generator) -> Tensor:
        """Mean loss of a batch."""
        scores, low, high, condition = tensors
        return self._model.loss(spread(scores, low, high, generator), condition, generator).mean()

    def validate(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> dict[str, Tensor]:
        """`loss`, the mean of `DRAWS` draws of noise and times per row, no condition hidden."""
        scores, low, high, condition = tensors
        losses = [
            self._model.loss(spread(scores, low, high, generator), condition, generator, dropout=False).mean()
            for _ in range(DRAWS)
        ]
        return {"loss": torch.stack(losses).mean()}

    def settings(self, share: float) -> dict[str, float]:
        """None."""
        return {}


DRAWS = 4
"""Draws of noise and times in a validation: one alone would choose the best epoch by luck."""


def spread(scores: Tensor, low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """Scores (n, N) with every spread cell drawn normal within its interval of ranks."""
    draws = torch.rand(low.shape, generator=generator, device=low.device)
    levels = torch.lerp(low, high, draws).clamp(1e-6, 1 - 1e-6)
    return torch.where(high > low, torch.special.ndtri(levels), scores)
