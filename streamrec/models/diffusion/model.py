"""`Diffusion`: a network, its settings, and what they are used for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from streamrec.models.diffusion.grids import uniform_grid
from streamrec.models.diffusion.predictions import EDMPrediction, EpsilonPrediction, Prediction, VPrediction
from streamrec.models.diffusion.process import denoiser, diffusion_loss, uniform_times
from streamrec.models.diffusion.samplers import SAMPLERS
from streamrec.models.diffusion.schedule import NoiseSchedule
from streamrec.models.guidance import drop_condition, guide
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


@dataclass(frozen=True)
class DiffusionConfig:
    """Settings of `Diffusion`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    width: int = 256
    """Width of the network's layers."""
    blocks: int = 4
    """Residual blocks of two layers each."""
    dropout: float = 0.1
    """Share of the condition's columns that are hidden in training, each by itself (for guidance)."""
    schedule: Literal["linear", "cosine"] = "cosine"
    """How the noise grows over the steps."""
    steps: int = 1_000
    """Steps of the forward process."""
    prediction: Literal["epsilon", "v", "edm"] = "v"
    """What the network answers."""
    sampler: Literal["ancestral", "ddim", "dpm_solver_pp_2m", "heun"] = "dpm_solver_pp_2m"
    """`ancestral` walks all steps; the others `evaluations`."""
    evaluations: int = 20
    """Evaluations of the network per sample."""
    guidance: float = 0.0
    """Weight of classifier-free guidance: 0 samples the learned law, more exaggerates the condition."""

    def __post_init__(self) -> None:
        if self.evaluations < 2:
            raise ValueError(f"evaluations must be at least 2, found {self.evaluations}")


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
