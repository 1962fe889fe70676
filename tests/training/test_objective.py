"""The ELBO against its parts: beta, free bits, denoising, what is validated."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_items import elbo, items
from torch import Tensor

from streamrec.models.gaussian import kl_to_standard_normal, sample_posterior
from streamrec.models.item_vae import Prepared
from streamrec.models.neighbours import neighbour_cross_entropy


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parts(objective: Any, prepared: Prepared) -> tuple[Tensor, Tensor]:
    """Distortion (n,) and rate (n, d) in nats of the draw that `generator()` gives."""
    model = objective.module
    mean, log_variance = model.encode(prepared)
    decoded = model.decode(sample_posterior(mean, log_variance, generator()), prepared)
    terms = model.negative_log_likelihood(decoded, prepared)
    return torch.stack([*terms.values()]).sum(0), kl_to_standard_normal(mean, log_variance)


@pytest.mark.parametrize(("share", "beta"), [(0.0, 0.0), (0.25, 0.4), (0.5, 0.8), (1.0, 0.8)])
def test_the_loss_is_distortion_plus_annealed_beta_times_rate(share: float, beta: float) -> None:
    objective = elbo(neighbour_weight=0.0, beta=0.8, beta_warmup=0.5)
    objective.module.eval()
    prepared = objective.prepare(items(40))
    distortion, rate = parts(objective, prepared)
    assert objective.settings(share)["beta"] == pytest.approx(beta)
    found = objective.loss(prepared, share, generator())
    torch.testing.assert_close(found, distortion.mean() + beta * rate.sum(1).mean())


def test_the_neighbour_term_is_added_with_its_weight_and_trains_the_sharpness() -> None:
    with_term, without = elbo(neighbour_weight=7.0), elbo(neighbour_weight=0.0)
    prepared = with_term.prepare(items(40))
    for objective in (with_term, without):
        objective.module.eval()
    model = with_term.module
    term = neighbour_cross_entropy(model.encode(prepared)[0], model.features(prepared), model.log_sharpness)
    found = with_term.loss(prepared, 0.5, generator())
    torch.testing.assert_close(found, without.loss(prepared, 0.5, generator()) + 7 * term)
    found.backward()
    assert model.log_sharpness.grad.abs() > 0


def test_validation_reports_the_bound_and_its_parts_with_beta_at_its_maximum() -> None:
    objective = elbo(neighbour_weight=0.0, beta=0.8, beta_warmup=1.0)
    objective.module.eval()
    prepared = objective.prepare(items(40))
    distortion, rate = parts(objective, prepared)
    found = objective.validate(prepared, generator())
    torch.testing.assert_close(found["distortion"], distortion.mean())
    torch.testing.assert_close(found["rate"], rate.sum(1).mean())
    torch.testing.assert_close(found["loss"], found["distortion"] + 0.8 * found["rate"])
    torch.testing.assert_close(found["elbo"], -found["distortion"] - found["rate"])
    columns = ("numbers", "labels", "categories", "states")
    by_group = [value for name, value in found.items() if name.removeprefix("distortion_") in columns]
    assert len(by_group) == 4
    torch.testing.assert_close(torch.stack(by_group).sum(), found["distortion"])


def test_free_bits_leave_units_below_the_threshold_alone() -> None:
    objective = elbo(neighbour_weight=0.0, beta=1.0, beta_warmup=0.0, free_bits=0.5, latent_dim=2)
    model = objective.module.eval()
    with torch.no_grad():
        # Unit 0 carries nothing, unit 1 carries 0.5 * 2^2 = 2 nats, whatever the item.
        for layer in (model.posterior, model.linear):
            layer.weight.zero_()
            layer.bias.zero_()
        model.posterior.bias.copy_(torch.tensor([0.1, 2.0, 0.0, 0.0]))
    prepared = objective.prepare(items(40))
    rate_gradient = []
    for beta in (True, False):
        model.zero_grad()
        loss = objective.loss(prepared, 1.0, generator())
        if beta:
            distortion, _ = parts(objective, prepared)
            torch.testing.assert_close(loss, distortion.mean() + 0.5 + 2.0)
            loss.backward()
        else:
            parts(objective, prepared)[0].mean().backward()
        rate_gradient.append(model.posterior.bias.grad.clone())
    of_the_rate = rate_gradient[0] - rate_gradient[1]
    torch.testing.assert_close(of_the_rate, torch.tensor([0.0, 2.0, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_denoising_blanks_inputs_and_asks_for_the_whole_item() -> None:
    objective = elbo(neighbour_weight=0.0, denoise=0.3, beta=0.0)
    model = objective.module.eval()
    prepared = objective.prepare(items(4_000))
    read: list[Tensor] = []
    hook = model.encoder.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    found = objective.loss(prepared, 1.0, generator())
    hook.remove()
    (seen,) = read
    present = prepared.inputs != 0
    assert torch.equal(seen[seen != 0], prepared.inputs[seen != 0])
    assert (seen[present] == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)

    draws = generator()
    torch.empty_like(prepared.inputs).uniform_(generator=draws)
    latents = sample_posterior(*model.encode(prepared._replace(inputs=seen)), draws)
    terms = model.negative_log_likelihood(model.decode(latents, prepared), prepared)
    torch.testing.assert_close(found, torch.stack([*terms.values()]).sum(0).mean())

    # Validation reads whole items.
    read.clear()
    model.encoder.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    objective.validate(prepared, generator())
    assert torch.equal(read[0], prepared.inputs)
