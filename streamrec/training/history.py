"""`History`: how a training went, told without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

Epoch = dict[str, float]
"""Numbers of one epoch: `epoch` (from 1), `train_loss`, `learning_rate`, `seconds`, the objective's settings
(`beta`), and its validation numbers with `valid_` before their names."""


@dataclass
class History:
    """How a training went."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    """Epoch (from 1) whose weights the module has now: the lowest validation loss, or a later one that is
    within `TrainConfig.tolerance` of it."""
    device: str = "cpu"
    resumed_from: int = 0
    """Epoch after which an interrupted training went on; 0 where it ran in one go."""

    @property
    def best(self) -> Epoch:
        """Numbers of the best epoch."""
        return self.epochs[self.best_epoch - 1]
