"""Vectors of items and users, with and without ids and histories."""

from __future__ import annotations

import pytest
import torch

from streamrec.models.settings import TwoTowerConfig
from streamrec.models.two_tower import TwoTower


@pytest.fixture
def model() -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(items=5, content=3, user_features=2, config=TwoTowerConfig(dimension=8, hidden=6))


def test_vectors_have_unit_length(model: TwoTower) -> None:
    items = model.item(torch.tensor([0, 1, 5]), torch.randn(3, 3))
    users = model.user(torch.randn(4, 8), torch.tensor([0, 1, 9, 2]), torch.randn(4, 2))
    assert torch.allclose(torch.cat([items, users]).norm(dim=1), torch.ones(7), atol=1e-6)


def test_an_item_without_an_id_is_its_content(model: TwoTower) -> None:
    content = torch.randn(1, 3)
    new = model.item(torch.tensor([0]), content)
    assert torch.allclose(new[0], torch.nn.functional.normalize(model.item_content(content), dim=1)[0])
    assert not torch.allclose(new, model.item(torch.tensor([3]), content))


def test_a_history_is_told_by_ids_and_only_new_items_by_content(model: TwoTower) -> None:
    ids, first, second = torch.tensor([2, 0]), torch.zeros(2, 3), torch.ones(2, 3)
    one, other = model.history(ids, first), model.history(ids, second)
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


def test_a_long_history_outweighs_the_start_and_none_is_the_start(model: TwoTower) -> None:
    total = model.history(torch.tensor([1, 2, 3]), torch.zeros(3, 3)).sum(0, keepdim=True)
    many = model.user(1e6 * total, torch.tensor([3_000_000]))
    assert torch.allclose(many, torch.nn.functional.normalize(total, dim=1), atol=0.01)
    empty = model.user(torch.zeros(1, 8), torch.tensor([0]))
    assert torch.allclose(empty[0], torch.nn.functional.normalize(model.start, dim=0))


def test_features_of_a_user_count_and_zeros_say_nothing(model: TwoTower) -> None:
    total, counts = torch.randn(1, 8), torch.tensor([3])
    plain = model.user(total, counts)
    assert torch.equal(plain, model.user(total, counts, torch.zeros(1, 2)))
    assert not torch.allclose(plain, model.user(total, counts, torch.ones(1, 2)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dimension": 0}, "dimension must be at least 1, found 0"),
        ({"temperature": 0.0}, "temperature must be positive, found 0.0"),
        ({"negatives": -1}, "negatives must not be negative, found -1"),
        ({"id_dropout": 1.0}, "id_dropout must be a share from 0 to below 1, found 1.0"),
    ],
)
def test_settings_out_of_bounds_are_named(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwoTowerConfig(**setting)
