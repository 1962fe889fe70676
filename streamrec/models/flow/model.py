"""`FlowMatching`: a network, its settings, and what they are used for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamrec.models.flow.likelihood import log_density
from streamrec.models.flow.path import flow_matching_loss
from streamrec.models.flow.solvers import SOLVERS, Solver, Velocity, uniform_grid
from streamrec.models.guidance import drop_condition, guide
from streamrec.models.settings import EVALUATIONS_PER_STEP, FlowConfig
from streamrec.models.vectors import ResidualNetwork, VelocityNetwork


class FlowMatching(nn.Module):
    """p(x | condition) as the flow of noise along a learned velocity (Lipman et al. 2023).

    Args:
        dimension: width of x.
        blocks: widths of the condition's one-hot blocks.
        config: settings.
    """

    def __init__(self, dimension: int, blocks: list[int], config: FlowConfig) -> None:
        super().__init__()
        self.dimension, self.condition_blocks, self.config = dimension, blocks, config
        self.network = VelocityNetwork(ResidualNetwork(dimension, sum(blocks), config.width, config.blocks))

    def extra_repr(self) -> str:
        """Settings: models with equal `repr` differ in their weights only."""
        return f"{self.dimension}, {self.condition_blocks}, {self.config}"

    def loss(self, x: Tensor, condition: Tensor, generator: torch.Generator, dropout: bool = True) -> Tensor:
        """Losses (n,) of rows x (n, d) with conditions (n, c)."""
        n = len(x)
        spread = torch.rand(n, generator=generator, device=x.device)
        order = torch.randperm(n, generator=generator, device=x.device)
        times = (order + spread) / n
        if dropout:
            condition = drop_condition(condition, self.config.dropout, generator, self.condition_blocks)
        return flow_matching_loss(
            self.network, x, times, condition, 0.0, generator, coupled=self.config.coupled
        )

    def sample(self, noise: Tensor, condition: Tensor, generator: torch.Generator) -> Tensor:
        """Rows (n, d) from standard normal noise (n, d) under conditions (n, c)."""
        solver, times = self.solver()
        return solver(self.velocity(condition, self.config.guidance), noise, times)

    def log_density(self, x: Tensor, condition: Tensor, seed: int) -> Tensor:
        """Log density (n,) in nats of rows x (n, d) under conditions (n, c), without guidance."""
        solver, times = self.solver()
        return log_density(self.velocity(condition, 0.0), x, solver, times, seed=seed)

    def velocity(self, condition: Tensor, guidance: float) -> Velocity:
        """The network with its condition (n, c) bound; a single row of it serves any number of rows."""
        network = guide(self.network, guidance)
        return lambda x, t: network(x, t, condition.expand(len(x), -1))

    def solver(self) -> tuple[Solver, Tensor]:
        """The configured solver and its times."""
        steps = self.config.evaluations // EVALUATIONS_PER_STEP.get(self.config.solver, 1)
        return SOLVERS[self.config.solver], uniform_grid(max(1, steps))
