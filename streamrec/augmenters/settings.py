"""Settings of the augmenters: what is fitted, how long, and how it is refined."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from streamrec.models.settings import DiffusionConfig, FlowConfig
from streamrec.training.settings import TrainConfig

Family = Literal["vae_prior", "vae", "latent_diffusion", "latent_flow", "diffusion", "flow"]


TOLERANCE = 0.02
"""Above the lowest validation loss: what a flow or a diffusion draws goes on getting sharper well after the
loss of held-out rows has stopped falling. Where training rows are few, this is what ends it."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RefineConfig(_Settings):
    """How drawn rows are made exact."""

    cells: bool = True
    """Draw every number again from a regression tree per column, guided by the drawn row."""
    noise: float = Field(0.1, gt=0)
    """Standard deviation, in scores, of the noise between a row and its guide."""
    min_leaf: int = Field(3, ge=1)
    """Training rows that a cell is drawn from, at least."""
    ratio_rounds: int = Field(3, ge=0)
    """Rounds of the density ratio by which too many drawn rows are thinned; 0: none are."""
    candidates: float = Field(3.0, ge=1)
    """Rows drawn per row that is kept."""


class FitConfig(_Settings):
    """How long and how the networks are trained."""

    steps: int = Field(16_000, ge=1)
    """Steps of the flow or the diffusion."""
    batch_size: int = Field(512, ge=2)
    """Rows per step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak of the learning rate: it rises over a twentieth of the steps, then falls to 0 as half a cosine."""
    ema_decay: float = Field(0.999, gt=0, lt=1)
    """Exponential moving average of the weights that rows are drawn with."""
    validation_share: float = Field(0.05, gt=0, lt=1)
    """Share of the rows by whose loss the best weights are kept."""
    max_epochs: int = Field(2_000, ge=1)
    """Passes over the rows, at most."""

    def training(self, rows: int, device: str = "auto", precision: str = "auto") -> TrainConfig:
        """Settings of the training loop for so many training rows."""
        per_epoch = max(1, rows // min(self.batch_size, max(rows, 1)))
        epochs = min(self.max_epochs, -(-self.steps // per_epoch))
        return TrainConfig(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            clip_norm=1.0,
            ema_decay=self.ema_decay,
            patience=None,
            tolerance=TOLERANCE,
            device=device,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            checkpoint_every=max(1, epochs // 20),
        )


class AugmentersConfig(_Settings):
    """Generative models of the item rows, fitted beside the ItemVAE."""

    families: tuple[Family, ...] = Field(("vae", "diffusion", "flow"), min_length=1)
    """What is fitted and compared."""
    flow: FlowConfig = Field(default_factory=FlowConfig)
    """Flow matching, of rows and of latents."""
    diffusion: DiffusionConfig = Field(default_factory=DiffusionConfig)
    """Diffusion, of rows and of latents."""
    fit: FitConfig = FitConfig()
    """Training of the networks."""
    refine: RefineConfig = RefineConfig()
    """Refinement of what they draw."""
    seeds: int = Field(1, ge=1)
    """Tables drawn and judged per family."""
    rows: int = Field(20_000, ge=100)
    """Rows per judged table, at most; else as many as there are training rows."""

    @field_validator("families")
    @classmethod
    def _once(cls, families: tuple[Family, ...]) -> tuple[Family, ...]:
        if len(set(families)) < len(families):
            raise ValueError(f"name each family once, found {', '.join(families)}")
        return families
