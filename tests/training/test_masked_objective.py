"""The any-order network trained on a law that is known in full: ties, functional dependence, gaps."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from streamrec.layout import MISSING_CODE, MISSING_STATE, UNSEEN_CODE, FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.discrete import UNKNOWN, DiscreteColumns
from streamrec.models.masked import log_prob, sample
from streamrec.models.masked_network import MaskedNetwork
from streamrec.training.loop import fit
from streamrec.training.masked import MaskedObjective
from streamrec.training.settings import TrainConfig

COLUMNS = DiscreteColumns.of(
    FeatureLayout(
        categorical=(("kind", 5), ("family", 4)),
        multi_label=(("tags", 3),),
        numeric=(("y", 2),),
        nullable=("y",),
    )
)
KIND, FAMILY, FIRST, SECOND, TIE, MISSING = range(6)
SHARES = torch.tensor([0.5, 0.3, 0.2])
MISSING_SHARES = torch.tensor([0.9, 0.0, 0.2])
CONFIG = TrainConfig(
    epochs=40, batch_size=200, learning_rate=0.01, device="cpu", patience=None, ema_decay=0.98
)


def law() -> tuple[Tensor, Tensor]:
    """All rows (20, 6) that occur and their probabilities (20,).

    `kind` is one of three with SHARES and decides `family`; two tags are fair coins, the third tells that
    they differ; y is missing by MISSING_SHARES of the kind.
    """
    rows, probabilities = [], []
    for kind, first, second, missing in itertools.product(range(3), range(2), range(2), range(2)):
        share = MISSING_SHARES[kind] if missing else 1 - MISSING_SHARES[kind]
        if share > 0:
            rows.append([kind + 2, 2 + (kind == 2), first, second, first ^ second, missing])
            probabilities.append(SHARES[kind] / 4 * share)
    return torch.tensor(rows), torch.stack(probabilities)


def items(n: int, seed: int) -> ItemBatch:
    """Items (n,) of the law."""
    rows, probabilities = law()
    draws = torch.multinomial(probabilities, n, True, generator=torch.Generator().manual_seed(seed))
    categories, labels, missing = COLUMNS.split(rows[draws])
    return ItemBatch(categories, labels, torch.zeros(n, 1), missing * MISSING_STATE)


def objective(train: ItemBatch) -> MaskedObjective:
    torch.manual_seed(0)
    network = MaskedNetwork(COLUMNS.sizes, COLUMNS.possible, hidden=64)
    network.initialise(COLUMNS.codes(train))
    return MaskedObjective(network, COLUMNS)


@pytest.fixture(scope="module")
def trained() -> MaskedNetwork:
    train = items(4_000, seed=1)
    made = objective(train)
    fit(made, train, items(2_000, seed=2), CONFIG, seed=0)
    assert isinstance(made.module, MaskedNetwork)
    return made.module


def test_the_law_is_learned_within_the_error_of_its_sample(trained: MaskedNetwork) -> None:
    rows, probabilities = law()

    def divergence(network: nn.Module) -> float:
        assert isinstance(network, MaskedNetwork)
        return float((probabilities * (probabilities.log() - log_prob(network, rows))).sum())

    assert divergence(objective(items(4_000, seed=1)).module) > 1.4, "independent columns"
    # Counts of 20 rows among 4,000 items would err by 19 / 8,000 nats on average.
    assert 0 < divergence(trained) < 0.01


@pytest.mark.parametrize("column", range(6))
def test_drawing_given_any_column_follows_the_true_conditional(trained: MaskedNetwork, column: int) -> None:
    rows, probabilities = law()
    n = 4_000
    for value in rows[:, column].unique().tolist():
        known = torch.full((n, 6), UNKNOWN)
        known[:, column] = value
        drawn = sample(trained, n, known, torch.Generator().manual_seed(column))
        assert drawn[:, column].eq(value).all()
        conditional = torch.where(rows[:, column] == value, probabilities, 0)
        conditional /= conditional.sum()
        found = (drawn[:, None] == rows).all(2).double().mean(0)
        assert (found - conditional).abs().sum() + (1 - found.sum()) < 2 * 0.06


def test_functional_dependences_hold_in_drawn_rows(trained: MaskedNetwork) -> None:
    drawn = sample(trained, 10_000, None, torch.Generator().manual_seed(0))
    tied = drawn[:, TIE] == (drawn[:, FIRST] ^ drawn[:, SECOND])
    derived = (drawn[:, FAMILY] == 3) == (drawn[:, KIND] == 4)
    complete = (drawn[:, KIND] != 3) | (drawn[:, MISSING] == 0)
    for holds in (tied, derived, complete):
        assert holds.double().mean() > 0.99


def test_categories_never_seen_are_never_drawn(trained: MaskedNetwork) -> None:
    drawn = sample(trained, 20_000, None, torch.Generator().manual_seed(0))
    assert not torch.isin(drawn[:, : FAMILY + 1], torch.tensor([MISSING_CODE, UNSEEN_CODE])).any()


def test_held_out_items_may_hold_an_unseen_category() -> None:
    train, held_out = items(300, seed=1), items(100, seed=2)
    held_out.categories[:50, KIND] = UNSEEN_CODE
    made = objective(train)
    with_unseen = made.validate(made.prepare(held_out), torch.Generator().manual_seed(0))
    assert with_unseen["loss"].isfinite()
    held_out.categories[:50, KIND] = MISSING_CODE
    as_missing = made.validate(made.prepare(held_out), torch.Generator().manual_seed(0))
    assert torch.equal(with_unseen["loss"], as_missing["loss"])


def test_the_same_seed_trains_the_same_network() -> None:
    train, held_out = items(300, seed=1), items(50, seed=2)
    networks = []
    for seed in (0, 0, 1):
        made = objective(train)
        fit(made, train, held_out, TrainConfig(epochs=2, batch_size=64, device="cpu"), seed)
        networks.append(made.module.state_dict())
    first, again, other = networks
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
