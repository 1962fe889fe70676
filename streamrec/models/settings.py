"""Settings of the models: plain dataclasses, so that models need nothing but torch.

`config.py` checks their types and unknown names; bounds are checked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class ItemVAEConfig:
    """Settings of `ItemVAE` and of its objective."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    latent_dim: int = 16
    """Width of the latent, and of the published embedding."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the encoder's hidden layers; the decoder mirrors them."""
    scale: Literal["fixed", "shared", "column"] = "fixed"
    """Standard deviation of the numbers' Gaussian: fixed at 1 (squared error), one learned for all
    columns, or one learned per column."""
    beta: float = 0.05
    """Weight of the KL term once annealed (beta_max)."""
    beta_schedule: Literal["linear", "cyclical"] = "linear"
    """`linear`: once from 0 to beta; `cyclical`: four times, as in Fu et al. 2019."""
    beta_warmup: float = 0.3
    """Share of the training (of each cycle) over which beta rises."""
    free_bits: float = 0.0
    """Nats per latent unit that the KL term does not punish (Kingma et al. 2016, eq. 15)."""
    denoise: float = 0.0
    """Share of the input cells blanked at each training step; the whole item is still to be decoded."""
    neighbour_weight: float = 50.0
    """Weight of the term that keeps neighbours of the feature space neighbours in the latent; 0: none."""
    condition: str | None = None
    """Categorical column given to encoder and decoder instead of being encoded (conditional VAE)."""

    def __post_init__(self) -> None:
        if self.latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, found {self.latent_dim}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden must be one or more positive widths, found {list(self.hidden)}")
        for name in ("beta", "free_bits", "neighbour_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")
        if not 0 <= self.beta_warmup <= 1:
            raise ValueError(f"beta_warmup must be a share from 0 to 1, found {self.beta_warmup}")
        if not 0 <= self.denoise < 1:
            raise ValueError(f"denoise must be a share from 0 to below 1, found {self.denoise}")


EVALUATIONS_PER_STEP = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
"""Evaluations of the velocity in a step of the solvers of fixed steps; `Counted` counts those of dopri5."""


@dataclass(frozen=True)
class FlowConfig:
    """Settings of `FlowMatching`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    width: int = 256
    """Width of the network's layers."""
    blocks: int = 4
    """Residual blocks of two layers each."""
    dropout: float = 0.1
    """Share of the condition's columns that are hidden in training, each by itself (for guidance)."""
    coupled: bool = False
    """Pair noise and data by minibatch optimal transport: straighter paths, slower training."""
    solver: Literal["euler", "midpoint", "heun", "rk4", "dopri5"] = "midpoint"
    """Solver of the sampling equation."""
    evaluations: int = 20
    """Evaluations of the network per sample; `dopri5` takes what it needs."""
    guidance: float = 0.0
    """Weight of classifier-free guidance: 0 samples the learned law, more exaggerates the condition."""

    def __post_init__(self) -> None:
        if self.evaluations < EVALUATIONS_PER_STEP.get(self.solver, 1):
            raise ValueError(
                f"evaluations must be at least {EVALUATIONS_PER_STEP.get(self.solver, 1)} with "
                f"{self.solver}, found {self.evaluations}"
            )


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


@dataclass(frozen=True)
class TwoTowerConfig:
    """Settings of `TwoTower` and of its objective."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    dimension: int = 128
    """Width of the learned part of a vector."""
    hidden: int = 32
    """Width of the hidden layer of the maps of content: a wide one learns the items by heart."""
    temperature: float = 0.2
    """Of the softmax at the start; it is learned."""
    history: int = 100
    """Items of a user's history that a training step sees, at most; afterwards all are seen."""
    negatives: int = 1024
    """Items drawn uniformly for each batch, beside those of the batch's own events."""
    id_dropout: float = 0.5
    """Share of a batch's items that are scored by their content alone, as a new item is."""
    empty_histories: float = 0.1
    """Share of a batch's users who are shown without their history, as a new user is."""
    feature_dropout: float = 0.5
    """Share of a batch's users whose features are hidden."""

    def __post_init__(self) -> None:
        for name in ("dimension", "hidden", "history"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.negatives < 0:
            raise ValueError(f"negatives must not be negative, found {self.negatives}")
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, found {self.temperature}")
        for name in ("id_dropout", "empty_histories", "feature_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be a share from 0 to below 1, found {getattr(self, name)}")
