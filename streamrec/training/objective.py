"""What is minimised: the loop knows only the protocol, each model family brings its objective."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from streamrec.models.batch import ItemBatch
from streamrec.models.gaussian import kl_to_standard_normal, sample_posterior
from streamrec.models.item_vae import ItemVAE, Prepared
from streamrec.models.neighbours import neighbour_cross_entropy
from streamrec.training.schedules import cyclical_beta, linear_beta


class Objective(Protocol):
    """A module and its losses, on tuples of tensors that share their first dimension."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""
        ...

    def prepare(self, items: Any) -> tuple[Tensor, ...]:
        """Everything the losses need of rows (n,), made once before the training."""
        ...

    def loss(self, tensors: Any, share: float, generator: torch.Generator) -> Tensor:
        """Scalar training loss of a batch when `share` (0 to 1) of the training is done."""
        ...

    def validate(self, tensors: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars of held-out items; `loss` among them is what early stopping watches."""
        ...

    def settings(self, share: float) -> dict[str, float]:
        """Scheduled settings worth a curve (beta) when `share` of the training is done."""
        ...


class ELBO:
    """Negative beta-ELBO in nats: summed over features, averaged over the batch (Higgins et al. 2017).

    The training loss adds `model.neighbour_weight` times `neighbour_cross_entropy`. `validate` reports the
    beta-ELBO alone, beta at its maximum whatever the schedule, on one draw per item; `elbo` is the bound
    itself (beta 1).
    """

    def __init__(self, model: ItemVAE) -> None:
        self.module = model
        self._model, self._config = model, model.config
        self._schedule = {"linear": linear_beta, "cyclical": cyclical_beta}[model.config.beta_schedule]

    def prepare(self, items: ItemBatch) -> Prepared:
        """Inputs and targets of the items."""
        return self._model.prepare(items)

    def settings(self, share: float) -> dict[str, float]:
        """Beta."""
        return {"beta": self._schedule(share, self._config.beta, self._config.beta_warmup)}

    def loss(self, tensors: tuple[Tensor, ...], share: float, generator: torch.Generator) -> Tensor:
        """Mean over the batch of distortion + beta * rate, free bits and denoising applied, + neighbours."""
        prepared = Prepared(*tensors)
        seen = prepared
        if self._config.denoise:
            kept = torch.empty_like(prepared.inputs).uniform_(generator=generator) >= self._config.denoise
            seen = prepared._replace(inputs=prepared.inputs * kept)
        mean, log_variance = self._model.encode(seen)
        decoded = self._model.decode(sample_posterior(mean, log_variance, generator), prepared)
        distortion = _total(self._model.negative_log_likelihood(decoded, prepared))
        rate = kl_to_standard_normal(mean, log_variance)
        if self._config.free_bits:
            nats = rate.mean(0).clamp(min=self._config.free_bits).sum()
        else:
            nats = rate.sum() / len(rate)
        loss = torch.add(distortion.mean(), nats, alpha=self.settings(share)["beta"])
        if self._config.neighbour_weight:
            features = self._model.features(prepared)
            agreement = neighbour_cross_entropy(mean, features, self._model.log_sharpness)
            loss = torch.add(loss, agreement, alpha=self._config.neighbour_weight)
        return loss

    def validate(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> dict[str, Tensor]:
        """`loss`, `elbo`, `rate`, `distortion`, and the distortion by group of columns; nats per item."""
        prepared = Prepared(*tensors)
        mean, log_variance = self._model.encode(prepared)
        decoded = self._model.decode(sample_posterior(mean, log_variance, generator), prepared)
        terms = {
            name: nats.mean() for name, nats in self._model.negative_log_likelihood(decoded, prepared).items()
        }
        distortion = _total(terms)
        rate = kl_to_standard_normal(mean, log_variance).sum(1).mean()
        return {
            "loss": distortion + self._config.beta * rate,
            "elbo": -distortion - rate,
            "rate": rate,
            "distortion": distortion,
            **{f"distortion_{name}": nats for name, nats in terms.items()},
        }


def _total(terms: dict[str, Tensor]) -> Tensor:
    first, *rest = terms.values()
    for term in rest:
        first = first + term
    return first
