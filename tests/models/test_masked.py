"""The any-order network against its own enumerated law: densities, draws, the bound, grouped steps."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from streamrec.models.discrete import UNKNOWN
from streamrec.models.masked import log_prob, order_agnostic_nats, sample
from streamrec.models.masked_network import MaskedNetwork

SIZES = (3, 4, 2, 2)
EVERY_ROW = torch.tensor(list(itertools.product(*map(range, SIZES))))
"""(48, 4): all combinations of classes."""


def arbitrary(sizes: tuple[int, ...] = SIZES, possible: Tensor | None = None) -> MaskedNetwork:
    """A network with strong random dependences between all columns."""
    torch.manual_seed(0)
    network = MaskedNetwork(sizes, possible, hidden=16)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    torch.nn.init.normal_(network.head.bias)
    return network.eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counts(rows: Tensor) -> Tensor:
    """How often each of `EVERY_ROW` occurs among rows."""
    return (rows[:, None] == EVERY_ROW).all(2).sum(0)


@pytest.mark.parametrize("evaluations", [4, 2, 1])
def test_probabilities_of_all_rows_add_up_to_one(evaluations: int) -> None:
    network = arbitrary()
    total = log_prob(network, EVERY_ROW, evaluations).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


def test_the_log_probability_is_the_chain_rule_in_column_order() -> None:
    network = arbitrary()
    expected = torch.zeros(48)
    for column in range(4):
        seen = EVERY_ROW.clone()
        seen[:, column:] = UNKNOWN
        start = sum(SIZES[:column])
        logits = network(seen)[:, start : start + SIZES[column]]
        expected += logits.log_softmax(1).gather(1, EVERY_ROW[:, column, None])[:, 0]
    torch.testing.assert_close(log_prob(network, EVERY_ROW), expected)


@pytest.mark.parametrize("evaluations", [4, 2])
def test_every_row_is_drawn_as_often_as_its_log_probability_says(evaluations: int) -> None:
    """Draws are spread over the law: a combination's count is within 2 of its expectation."""
    network = arbitrary()
    n = 5_000
    found = counts(sample(network, n, None, generator(), evaluations))
    expected = n * log_prob(network, EVERY_ROW, evaluations).exp()
    assert (found - expected).abs().max() < 2.01


def test_few_rows_have_the_law_of_the_network_too() -> None:
    network = arbitrary()
    draws = torch.cat([sample(network, 4, None, generator(seed)) for seed in range(400)])
    expected = log_prob(network, EVERY_ROW).exp()
    common = expected > 0.01
    assert common.sum() > 10
    error = counts(draws) / len(draws) - expected
    deviation = (expected * (1 - expected) / len(draws)).sqrt()
    assert (error.abs() / deviation)[common].max() < 4


@pytest.mark.parametrize("column", range(4))
def test_cells_that_are_given_are_kept_and_the_rest_follows_from_them(column: int) -> None:
    network = arbitrary()
    n = 5_000
    known = torch.full((n, 4), UNKNOWN)
    known[:, column] = 1
    drawn = sample(network, n, known, generator())
    assert drawn[:, column].eq(1).all()
    assert drawn.min() >= 0
    assert (known[:, [c for c in range(4) if c != column]] == UNKNOWN).all(), "the argument is left alone"
    rows = EVERY_ROW[EVERY_ROW[:, column] == 1]
    expected = torch.zeros(len(rows))
    seen = torch.full_like(rows, UNKNOWN)
    seen[:, column] = 1
    for other in range(4):
        if other != column:
            start = sum(SIZES[:other])
            logits = network(seen)[:, start : start + SIZES[other]]
            expected += logits.log_softmax(1).gather(1, rows[:, other, None])[:, 0]
            seen[:, other] = rows[:, other]
    found = (drawn[:, None] == rows).all(2).sum(0)
    assert (found - n * expected.exp()).abs().max() < 2.01


def test_each_row_may_have_other_cells_given() -> None:
    network = arbitrary()
    full = sample(network, 6_000, None, generator())
    known = full.masked_fill(torch.rand(full.shape, generator=generator(1)) < 0.5, UNKNOWN)
    drawn = sample(network, 6_000, known, generator(2))
    given = known != UNKNOWN
    assert torch.equal(drawn[given], full[given])
    assert drawn.min() == 0
    assert not torch.equal(drawn, full)


def test_long_rows_are_drawn_with_fresh_digits() -> None:
    """80 columns of two: a row's one number in [0, 1) has 53 binary digits."""
    network = MaskedNetwork((2,) * 80, hidden=8).eval()
    drawn = sample(network, 4_000, None, generator(), evaluations=80).double()
    shares = drawn.mean(0)
    assert (shares - 0.5).abs().max() < 4 * 0.5 / math.sqrt(4_000)
    correlations = torch.corrcoef(drawn.T) - torch.eye(80)
    assert correlations.abs().max() < 5 / math.sqrt(4_000)


@pytest.mark.parametrize("evaluations", [4, 1])
def test_impossible_classes_are_never_drawn_and_have_no_probability(evaluations: int) -> None:
    possible = torch.ones(sum(SIZES), dtype=torch.bool)
    possible[[0, 5, 6]] = False
    network = arbitrary(possible=possible)
    drawn = sample(network, 3_000, None, generator(), evaluations)
    assert set(drawn[:, 0].tolist()) == {1, 2}
    assert set(drawn[:, 1].tolist()) == {0, 1}
    found = log_prob(network, EVERY_ROW, evaluations)
    impossible = (EVERY_ROW[:, 0] == 0) | (EVERY_ROW[:, 1] >= 2)
    assert torch.equal(found.isneginf(), impossible)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_cell_of_an_impossible_class_counts_and_tells_nothing() -> None:
    possible = torch.ones(sum(SIZES), dtype=torch.bool)
    possible[0] = False
    network = arbitrary(possible=possible)
    rows = EVERY_ROW[EVERY_ROW[:, 0] == 0]
    blanked = rows.clone()
    blanked[:, 0] = UNKNOWN
    assert torch.equal(network(rows), network(blanked))
    bound = order_agnostic_nats(network, rows, generator())
    assert bound.isfinite().all()
    bound.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    given = torch.full((200, 4), UNKNOWN)
    given[:, 0] = 0
    assert sample(network, 200, given, generator())[:, 0].eq(0).all()


def test_the_bound_is_the_mean_over_orders_of_the_chain_rule() -> None:
    network = arbitrary()
    expected = torch.zeros(48)
    orders = list(itertools.permutations(range(4)))
    for order in orders:
        seen = torch.full_like(EVERY_ROW, UNKNOWN)
        for column in order:
            cells = network.cell_log_probabilities(network(seen), EVERY_ROW)
            expected -= cells[:, column] / len(orders)
            seen[:, column] = EVERY_ROW[:, column]
    draws = 600
    with torch.no_grad():
        nats = order_agnostic_nats(network, EVERY_ROW.repeat(draws, 1), generator()).view(draws, 48)
    error = (nats.mean(0) - expected.detach()) / (nats.std(0) / math.sqrt(draws))
    assert error.abs().max() < 4


def test_an_initialised_network_is_the_independent_marginals_of_its_rows() -> None:
    torch.manual_seed(0)
    network = MaskedNetwork(SIZES, hidden=16)
    rows = torch.randint(2, (1_000, 4), generator=generator()) * torch.tensor([2, 1, 1, 0])
    network.initialise(rows)
    expected = torch.zeros(1_000)
    for column, size in enumerate(SIZES):
        frequencies = (torch.bincount(rows[:, column], minlength=size) + 0.1) / (1_000 + 0.1 * size)
        expected += frequencies.log()[rows[:, column]]
        assert network.entropies[column].item() == pytest.approx(
            -(frequencies * frequencies.log()).sum().item(), abs=1e-5
        )
    torch.testing.assert_close(log_prob(network, rows), expected)
    assert log_prob(network, EVERY_ROW).isfinite().all(), "a possible class that no row has"


def test_columns_are_grouped_by_least_entropy() -> None:
    network = MaskedNetwork((2,) * 6)
    network.entropies.copy_(torch.tensor([0.1, 0.6, 0.02, 0.5, 0.03, 0.05]))
    assert network.steps(6) == [[0], [1], [2], [3], [4], [5]]
    assert network.steps(5) == [[1], [3], [0], [5], [4, 2]]
    assert network.steps(3) == [[1], [3], [0, 5, 4, 2]]
    assert network.steps(1) == [[1, 3, 0, 5, 4, 2]]


def test_weights_alone_restore_the_law() -> None:
    possible = torch.ones(sum(SIZES), dtype=torch.bool)
    possible[5] = False
    network = arbitrary(possible=possible)
    network.initialise(EVERY_ROW[::5])
    restored = MaskedNetwork(SIZES, hidden=16)
    restored.load_state_dict(network.state_dict())
    assert torch.equal(log_prob(restored, EVERY_ROW, 2), log_prob(network, EVERY_ROW, 2))
    assert torch.equal(sample(restored, 50, None, generator()), sample(network, 50, None, generator()))


def test_no_rows_are_drawn_when_none_are_asked_for() -> None:
    assert sample(arbitrary(), 0).shape == (0, 4)


def test_seeds_decide_the_draws() -> None:
    network = arbitrary()
    first = sample(network, 3_000, None, generator(1))
    assert torch.equal(first, sample(network, 3_000, None, generator(1)))
    assert not torch.equal(first, sample(network, 3_000, None, generator(2)))


def test_wrong_codes_are_named() -> None:
    network = arbitrary()
    with pytest.raises(ValueError, match="row 0, column 1: found class 4, expected -1 to 3"):
        sample(network, 1, torch.tensor([[0, 4, 0, 0]]))
    with pytest.raises(ValueError, match="row 1, column 2: found class -1, expected 0 to 1"):
        log_prob(network, torch.tensor([[0, 0, 0, 0], [0, 0, UNKNOWN, 0]]))
    with pytest.raises(ValueError, match=r"shape \(2, 4\), found \(1, 4\)"):
        sample(network, 2, EVERY_ROW[:1])


def test_a_network_needs_columns_with_a_possible_class() -> None:
    with pytest.raises(ValueError, match="every column needs a possible class"):
        MaskedNetwork(())
    with pytest.raises(ValueError, match="every column needs a possible class"):
        MaskedNetwork((2, 1), torch.tensor([True, True, False]))
    with pytest.raises(ValueError, match="3 flags, one per class, found 2"):
        MaskedNetwork((2, 1), torch.tensor([True, True]))
