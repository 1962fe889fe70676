"""The ItemVAE against torch.distributions, and what may and may not move an embedding."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from streamrec.layout import MISSING_CODE, MISSING_STATE, UNSEEN_CODE, FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.gaussian import kl_to_standard_normal, sample_posterior
from streamrec.models.item_vae import Decoded, ItemVAE
from streamrec.models.settings import ItemVAEConfig

LAYOUT = FeatureLayout(
    categorical=(("colour", 5), ("brand", 4)),
    multi_label=(("tags", 3),),
    numeric=(("plain", 2), ("both", 4), ("atoms", 4), ("gaps", 2)),
    nullable=("brand", "both", "gaps"),
)
"""`plain` has one state, `both` four, `atoms` three (it is never missing), `gaps` two."""
CONFIG = ItemVAEConfig(latent_dim=4, hidden=(16, 8))


def random_items(n: int, layout: FeatureLayout = LAYOUT, seed: int = 0) -> ItemBatch:
    """Items of which any cell may be missing or unseen, also where no training cell was."""
    generator = torch.Generator().manual_seed(seed)

    def codes(sizes: tuple[tuple[str, int], ...]) -> Tensor:
        columns = [torch.randint(size, (n, 1), generator=generator) for _, size in sizes]
        return torch.cat([torch.zeros(n, 0, dtype=torch.int64), *columns], 1)

    states = codes(layout.numeric)
    numbers = torch.randn(states.shape, generator=generator).masked_fill(states == MISSING_STATE, 0)
    labels = torch.randint(2, (n, layout.label_width), generator=generator).float()
    return ItemBatch(codes(layout.categorical), labels, numbers, states)


def made(layout: FeatureLayout = LAYOUT, config: ItemVAEConfig = CONFIG, seed: int = 0) -> ItemVAE:
    torch.manual_seed(seed)
    return ItemVAE(layout, config)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 3)), min_size=1, max_size=5))
def test_kl_is_the_closed_form(units: list[tuple[float, float]]) -> None:
    mean, log_variance = torch.tensor(units, dtype=torch.float64).T
    expected = kl_divergence(
        Normal(mean, torch.exp(log_variance / 2)), Normal(torch.zeros_like(mean), torch.ones_like(mean))
    )
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_a_posterior_draw_has_the_posterior_moments_and_passes_gradients() -> None:
    mean = torch.full((200_000,), 1.5, requires_grad=True)
    draw = sample_posterior(mean, torch.full_like(mean, math.log(4.0)), torch.Generator().manual_seed(0))
    assert draw.mean().item() == pytest.approx(1.5, abs=0.02)
    assert draw.var().item() == pytest.approx(4.0, abs=0.05)
    draw.sum().backward()
    assert mean.grad is not None
    assert torch.equal(mean.grad, torch.ones_like(mean))


@pytest.mark.parametrize("scale", ["fixed", "shared", "column"])
def test_every_term_is_the_negative_log_probability_of_its_distribution(scale: str) -> None:
    model = made(config=replace(CONFIG, scale=scale)).eval()
    deviations = torch.ones(4)
    if model.log_scale is not None:
        model.log_scale.data = torch.linspace(-1, 0.5, len(model.log_scale))
        deviations = model.log_scale.exp().detach().expand(4)
    items = random_items(60)
    prepared = model.prepare(items)
    decoded = model.decode(torch.randn(60, 4), prepared)
    found = model.negative_log_likelihood(decoded, prepared)
    assert set(found) == {"numbers", "labels", "categories", "states"}

    for n in range(60):
        numbers = sum(
            -Normal(decoded.numbers[n, j], deviations[j]).log_prob(items.numbers[n, j])
            for j in range(4)
            if items.states[n, j] != MISSING_STATE
        )
        labels = -Bernoulli(logits=decoded.labels[n]).log_prob(items.labels[n]).sum()
        categories = torch.zeros(())
        colour, brand = items.categories[n].tolist()
        if colour >= 2:  # `colour` is never missing: neither missing nor unseen has a class
            categories = categories - Categorical(logits=decoded.categories[0][n]).log_prob(
                torch.tensor(colour - 2)
            )
        if brand != UNSEEN_CODE:  # `brand` has the classes missing, then the vocabulary
            target = 0 if brand == MISSING_CODE else brand - 1
            categories = categories - Categorical(logits=decoded.categories[1][n]).log_prob(
                torch.tensor(target)
            )
        states = torch.zeros(())
        for row, (column, possible) in enumerate([(1, [0, 1, 2, 3]), (2, [0, 2, 3]), (3, [0, 1])]):
            state = int(items.states[n, column])
            if state in possible:
                over = Categorical(logits=decoded.states[n, row, possible])
                states = states - over.log_prob(torch.tensor(possible.index(state)))
        for name, expected in (
            ("numbers", torch.as_tensor(numbers)),
            ("labels", labels),
            ("categories", categories),
            ("states", states),
        ):
            torch.testing.assert_close(found[name][n], expected.float(), rtol=1e-5, atol=1e-5)


def test_nats_are_summed_over_columns() -> None:
    """Every column twice is twice the nats, not the same mean."""
    twice = FeatureLayout(
        categorical=(*LAYOUT.categorical, ("colour2", 5), ("brand2", 4)),
        multi_label=(*LAYOUT.multi_label, ("tags2", 3)),
        numeric=(*LAYOUT.numeric, ("plain2", 2), ("both2", 4), ("atoms2", 4), ("gaps2", 2)),
        nullable=(*LAYOUT.nullable, "brand2", "both2", "gaps2"),
    )
    items = random_items(20)
    doubled = ItemBatch(*(torch.cat([t, t], 1) for t in vars(items).values()))
    once, model = made(), made(twice)
    decoded = once.decode(torch.randn(20, 4))
    both = Decoded(
        torch.cat([decoded.numbers] * 2, 1),
        torch.cat([decoded.labels] * 2, 1),
        decoded.categories * 2,
        torch.cat([decoded.states] * 2, 1),
    )
    single = once.negative_log_likelihood(decoded, once.prepare(items))
    double = model.negative_log_likelihood(both, model.prepare(doubled))
    for name, nats in single.items():
        torch.testing.assert_close(double[name], 2 * nats)


def test_inputs_are_the_cells_a_training_row_can_set() -> None:
    model = made()
    prepared = model.prepare(random_items(10))
    # 4 numbers, 3 labels, 3 colours, 2 brands + missing, flags: both 3, atoms 2, gaps 1
    assert model.input_width == prepared.inputs.shape[1] == 4 + 3 + 3 + 3 + 6
    one_hot = prepared.inputs[:, 7:13]
    assert set(one_hot.unique().tolist()) <= {0.0, 1.0}


def test_an_unseen_category_embeds_as_no_category_at_all() -> None:
    model = made()
    items = random_items(8)
    items.categories[:] = 2
    unseen = replace(items, categories=torch.tensor([[UNSEEN_CODE, 2]]).expand(8, 2))
    prepared = model.eval().prepare(items)
    assert prepared.inputs[:, 7].eq(1).all(), "the first colour is input 7"
    blanked = prepared.inputs.clone()
    blanked[:, 7:10] = 0
    expected = model.encode(prepared._replace(inputs=blanked))[0]
    assert torch.equal(model.embed(unseen), expected)
    assert not torch.allclose(model.embed(unseen), model.embed(items))


def test_missing_where_training_had_no_missing_embeds_as_unseen_and_as_the_mean() -> None:
    model = made()
    items = random_items(8)
    items.categories[:, 0], items.states[:, 0], items.numbers[:, 0] = UNSEEN_CODE, 0, 0.0
    missing = replace(items, categories=items.categories.clone(), states=items.states.clone())
    missing.categories[:, 0], missing.states[:, 0] = MISSING_CODE, MISSING_STATE
    assert torch.equal(model.embed(missing), model.embed(items))


def test_missing_where_training_had_it_moves_the_embedding() -> None:
    model = made()
    items = random_items(8)
    items.categories[:, 1], items.states[:, 3], items.numbers[:, 3] = UNSEEN_CODE, 0, 0.0
    for kind, column, code in (("categories", 1, MISSING_CODE), ("states", 3, MISSING_STATE)):
        changed = getattr(items, kind).clone()
        changed[:, column] = code
        moved = model.embed(replace(items, **{kind: changed})) - model.embed(items)
        assert moved.abs().amax(1).min() > 1e-4


def test_unseen_cells_give_no_gradient() -> None:
    model = made(FeatureLayout(categorical=(("colour", 5), ("brand", 5))))
    items = ItemBatch(
        torch.tensor([[UNSEEN_CODE, 2], [UNSEEN_CODE, 3]]),
        torch.zeros(2, 0),
        torch.zeros(2, 0),
        torch.zeros(2, 0, dtype=torch.int64),
    )
    prepared = model.prepare(items)
    nats = model.negative_log_likelihood(model.decode(model.encode(prepared)[0]), prepared)
    nats["categories"].sum().backward()
    first, heads = model.encoder[0].weight.grad, model.heads.weight.grad
    assert first[:, :3].eq(0).all()
    assert heads[:3].eq(0).all()
    assert heads[3:].ne(0).any()


@pytest.mark.parametrize(("condition", "inputs"), [("colour", slice(7, 10)), ("brand", slice(10, 13))])
def test_a_conditional_decoder_reads_the_condition_and_does_not_decode_it(
    condition: str, inputs: slice
) -> None:
    model = made(config=replace(CONFIG, condition=condition))
    prepared = model.prepare(random_items(12))
    read: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    latents = torch.randn(12, 4)
    decoded = model.decode(latents, prepared)
    assert torch.equal(read[0], torch.cat([latents, prepared.inputs[:, inputs]], 1))
    assert len(decoded.categories) == 1
    other = 1 if condition == "colour" else 0
    expected = torch.nn.functional.cross_entropy(
        decoded.categories[0], prepared.targets[:, other], reduction="none"
    )
    assert torch.equal(model.negative_log_likelihood(decoded, prepared)["categories"], expected)
    with pytest.raises(ValueError, match="condition"):
        model.decode(latents)


def test_a_condition_must_be_a_categorical_column() -> None:
    with pytest.raises(ValueError, match=r"model\.condition: no categorical column 'plain'.*colour.*brand"):
        made(config=replace(CONFIG, condition="plain"))


@pytest.mark.parametrize(
    "layout", [FeatureLayout(categorical=(("colour", 5),)), FeatureLayout(multi_label=(("tags", 0),))]
)
def test_a_model_with_nothing_to_decode_is_refused(layout: FeatureLayout) -> None:
    condition = "colour" if layout.categorical else None
    with pytest.raises(ValueError, match="no number, label or category to decode"):
        made(layout, replace(CONFIG, condition=condition))


@pytest.mark.parametrize(
    ("layout", "groups"),
    [
        (FeatureLayout(categorical=LAYOUT.categorical), {"categories"}),
        (FeatureLayout(multi_label=LAYOUT.multi_label), {"labels"}),
        (FeatureLayout(numeric=(("plain", 2),)), {"numbers"}),
        (FeatureLayout(numeric=(("gaps", 2),), nullable=("gaps",)), {"numbers", "states"}),
        (FeatureLayout(categorical=(("empty", 2),), nullable=("empty",)), {"categories"}),
        (
            FeatureLayout(numeric=LAYOUT.numeric, multi_label=LAYOUT.multi_label),
            {"numbers", "labels", "states"},
        ),
    ],
)
def test_groups_of_columns_may_be_absent(layout: FeatureLayout, groups: set[str]) -> None:
    model = made(layout)
    prepared = model.prepare(random_items(9, layout))
    terms = model.negative_log_likelihood(model.decode(model.encode(prepared)[0]), prepared)
    assert set(terms) == groups
    total = torch.stack([*terms.values()]).sum()
    total.backward()
    assert total.isfinite()
    assert model.embed(random_items(9, layout)).shape == (9, 4)


@pytest.mark.parametrize("training", [True, False])
def test_embedding_leaves_the_model_as_it_was(training: bool) -> None:
    model = made().train(training)
    items = random_items(30)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, second = model.embed(items), model.embed(items)
    assert model.training is training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert first.dtype == torch.float32
    # Evaluation mode: the other items of the batch do not matter.
    torch.testing.assert_close(model.embed(items[:3]), first[:3])


def test_different_settings_have_different_names() -> None:
    """A checkpoint is told apart by the model's `repr`."""
    assert repr(made()) == repr(made(seed=1))
    others = [replace(CONFIG, beta=0.7), replace(CONFIG, free_bits=0.3), replace(CONFIG, scale="shared")]
    assert len({repr(made(config=config)) for config in [CONFIG, *others]}) == 4
    assert repr(made()) != repr(made(replace(LAYOUT, multi_label=(("labels", 3),))))


@pytest.mark.parametrize(
    "setting",
    [
        {"latent_dim": 0},
        {"hidden": ()},
        {"hidden": (8, 0)},
        {"beta": -0.1},
        {"free_bits": -1.0},
        {"beta_warmup": 1.1},
        {"denoise": 1.0},
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        ItemVAEConfig(**setting)
