"""Nats per column against the model's own loss and against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from streamrec.layout import FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.models.surprise import column_nats, elbo_parts, residual_deviations

LAYOUT = FeatureLayout(
    categorical=(("colour", 5), ("shape", 4)),
    multi_label=(("tags", 3), ("moods", 2)),
    numeric=(("x", 2), ("y", 4)),
    nullable=("shape", "y"),
)


def items(n: int, seed: int = 0) -> ItemBatch:
    """Items with missing cells and, in `y`, atoms."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.randint(2, 5, (n, 1), generator=generator)
    shape = torch.tensor([0, 2, 3])[torch.randint(3, (n, 1), generator=generator)]
    states = torch.stack([torch.zeros(n).long(), torch.randint(4, (n,), generator=generator)], 1)
    labels = (torch.rand(n, 5, generator=generator) < 0.4).float()
    numbers = torch.randn(n, 2, generator=generator).masked_fill(states == 1, 0)
    return ItemBatch(torch.cat([colour, shape], 1), labels, numbers, states)


def model(**settings: object) -> ItemVAE:
    torch.manual_seed(1)
    config = ItemVAEConfig(**{"latent_dim": 2, "hidden": (8,), **settings})  # type: ignore[arg-type]
    made = ItemVAE(LAYOUT, config).eval()
    with torch.no_grad():
        made.heads.weight.mul_(4)
    return made


def test_columns_add_up_to_the_loss_of_the_model() -> None:
    vae, batch = model(), items(50)
    prepared = vae.prepare(batch)
    decoded = vae.decode(torch.randn(50, 2), prepared)
    nats = column_nats(vae, decoded, prepared, batch, torch.ones(2))
    terms = vae.negative_log_likelihood(decoded, prepared)
    torch.testing.assert_close(nats[:, :2].sum(1), terms["categories"])
    torch.testing.assert_close(nats[:, 2:4].sum(1), terms["labels"])
    # The training loss gives atoms a Gaussian too; here they have their probability alone.
    without = (batch.states[:, 1] < 2).nonzero()[:, 0]
    both = (terms["numbers"] + terms["states"])[without]
    torch.testing.assert_close(nats[without, 4:].sum(1), both)
    at_atom = (batch.states[:, 1] >= 2).nonzero()[:, 0]
    chances = decoded.states[at_atom, 0].log_softmax(1).gather(1, batch.states[at_atom, 1:])
    torch.testing.assert_close(nats[at_atom, 5], -chances[:, 0])


def test_a_narrower_gaussian_makes_the_same_error_more_surprising() -> None:
    vae, batch = model(), items(20)
    prepared = vae.prepare(batch)
    decoded = vae.decode(torch.zeros(20, 2), prepared)
    wide = column_nats(vae, decoded, prepared, batch, torch.ones(2))[:, 4]
    narrow = column_nats(vae, decoded, prepared, batch, torch.tensor([0.1, 1.0]))[:, 4]
    errors = batch.numbers[:, 0] - decoded.numbers[:, 0]
    torch.testing.assert_close(narrow - wide, 0.5 * errors.square() * 99 + math.log(0.1))


def test_the_column_that_the_decoder_is_given_counts_nothing() -> None:
    vae, batch = model(condition="colour"), items(30)
    prepared = vae.prepare(batch)
    nats = column_nats(vae, vae.decode(torch.zeros(30, 2), prepared), prepared, batch, torch.ones(2))
    assert torch.equal(nats[:, 0], torch.zeros(30))
    assert (nats[:, 1] > 0).all()


def test_an_unseen_category_counts_nothing() -> None:
    vae, batch = model(), items(4)
    batch.categories[:, 0] = 1
    nats, _ = elbo_parts(vae, batch, torch.ones(2), 0)
    assert torch.equal(nats[:, 0], torch.zeros(4))


def test_deviations_are_those_of_ordinary_residuals() -> None:
    vae, batch = model(), items(3_000)
    with torch.no_grad():
        vae.heads.weight.zero_()
        vae.heads.bias.zero_()
    batch.numbers.mul_(torch.tensor([2.0, 0.5]))
    batch.numbers[batch.states >= 2] = 100.0
    found = residual_deviations(vae, batch, 0)
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5]), rtol=0.06, atol=0)


@pytest.mark.parametrize("n", [0, 1, 5_000])
def test_the_bound_is_computed_block_by_block_for_any_number_of_items(n: int) -> None:
    nats, divergence = elbo_parts(model(), items(n), torch.ones(2), 0)
    assert nats.shape == (n, 6)
    assert divergence.shape == (n,)
    assert (divergence >= 0).all()
    assert torch.isfinite(nats).all()
