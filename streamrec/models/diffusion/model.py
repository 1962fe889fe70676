"""`Diffusion`: a network, its settings, and what they are used for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from streamrec.models.diffusion.grids import uniform_grid
from streamrec.models.diffusion.predictions import EDMPrediction, EpsilonPrediction, Prediction, VPrediction
from streamrec.models.diffusion.process import denoiser, diffusion_loss, uniform_times
from streamrec.models.diffusion.samplers import SAMPLERS
from streamrec.models.diffusion.schedule import NoiseSchedule
from streamrec.models.guidance import drop_condition, guide
from streamrec.models.settings import DiffusionConfig
from streamrec.models.vectors import ResidualNetwork

FIRST_TIME = 0.98
"""Where few-step samplers start: the last cosine steps are nothing but noise."""
PREDICTIONS: dict[str, Prediction] = {
    "epsilon": EpsilonPrediction(),
    "v": VPrediction(),
    "edm": EDMPrediction(),
}
SCHEDULES: dict[str, Callable[[int], NoiseSchedule]] = {
    "linear": NoiseSchedule.linear,
    "cosine": NoiseSchedule.cosine,
}


class Diffusion(nn.Module):
    """p(x | condition) by reversing the gradual addition of noise (Ho et al. 2020).

    Args:
        dimension: width of x.
        blocks: widths of the condition's one-hot blocks.
        config: settings.
    """

    def __init__(self, dimension: int, blocks: list[int], config: DiffusionConfig) -> None:
        super().__init__()
        self.dimension, self.condition_blocks, self.config = dimension, blocks, config
        self.network = ResidualNetwork(dimension, sum(blocks), config.width, config.blocks)
        self.schedule = SCHEDULES[config.schedule](config.steps)
        self.prediction = PREDICTIONS[config.prediction]

    def extra_repr(self) -> str:
        """Settings: models with equal `repr` differ in their weights only."""
        return f"{self.dimension}, {self.condition_blocks}, {self.config}"

    def loss(self, x: Tensor, condition: Tensor, generator: torch.Generator, dropout: bool = True) -> Tensor:
        """Losses (n,) of rows x (n, d) with conditions (n, c)."""
        times = uniform_times(len(x), generator, x.device)
        if dropout:
            condition = drop_condition(condition, self.config.dropout, generator, self.condition_blocks)
        return diffusion_loss(
            self.network, x, times, self.prediction, self.schedule, condition, 0.0, generator
        )

    def sample(self, noise: Tensor, condition: Tensor, generator: torch.Generator) -> Tensor:
        """Rows (n, d) from standard normal noise (n, d) under conditions (n, c)."""
        config = self.config
        network = guide(self.network, config.guidance)
        denoise = denoiser(network, self.prediction, self.schedule, condition)
        if config.sampler == "ancestral":
            times = uniform_grid(self.schedule, self.schedule.steps)
        else:
            # Heun evaluates twice a step, but for the last.
            steps = (config.evaluations + 1) // 2 if config.sampler == "heun" else config.evaluations
            times = uniform_grid(self.schedule, steps, FIRST_TIME)
        return SAMPLERS[config.sampler](denoise, noise, times, self.schedule, generator)
