"""The discrete part of encoded items as class codes, and back."""

from __future__ import annotations

import torch

from streamrec.layout import MISSING_STATE, FeatureLayout
from streamrec.models.batch import ItemBatch
from streamrec.models.discrete import UNKNOWN, DiscreteColumns

LAYOUT = FeatureLayout(
    categorical=(("colour", 5), ("brand", 4)),
    multi_label=(("tags", 3), ("moods", 1)),
    numeric=(("plain", 2), ("gaps", 4), ("holes", 2)),
    nullable=("brand", "gaps", "holes"),
)
COLUMNS = DiscreteColumns.of(LAYOUT)


def items(n: int) -> ItemBatch:
    """Items whose `plain` number is never missing."""
    generator = torch.Generator().manual_seed(0)

    def codes(sizes: list[int]) -> torch.Tensor:
        return torch.stack([torch.randint(size, (n,), generator=generator) for size in sizes], 1)

    states = codes([1, 4, 2])
    numbers = torch.randn(n, 3, generator=generator).masked_fill(states == MISSING_STATE, 0)
    return ItemBatch(codes([5, 4]), codes([2] * 4).float(), numbers, states)


def test_columns_are_categories_then_labels_then_missing_flags_of_nullable_numbers() -> None:
    assert COLUMNS.names == (
        *("colour", "brand", "tags[0]", "tags[1]", "tags[2]", "moods[0]"),
        *("gaps missing", "holes missing"),
    )
    assert COLUMNS.sizes == (5, 4, 2, 2, 2, 2, 2, 2)
    batch = items(50)
    codes = COLUMNS.codes(batch)
    assert codes.dtype == torch.int64
    assert torch.equal(codes[:, :2], batch.categories)
    assert torch.equal(codes[:, 2:6], batch.labels.long())
    assert torch.equal(codes[:, 6:], (batch.states[:, 1:] == MISSING_STATE).long())
    assert 0 < codes[:, 6].sum() < 50, "an atom (states 2 and 3) is not missing"


def test_splitting_codes_gives_back_what_they_were_made_of() -> None:
    batch = items(50)
    categories, labels, missing = COLUMNS.split(COLUMNS.codes(batch))
    assert torch.equal(categories, batch.categories)
    assert torch.equal(labels, batch.labels)
    assert labels.dtype == torch.float32
    assert torch.equal(missing, batch.states == MISSING_STATE)


def test_unseen_categories_and_missing_ones_that_training_never_had_are_impossible() -> None:
    impossible = (~COLUMNS.possible).nonzero().flatten().tolist()
    assert impossible == [0, 1, 5 + 1], "colour missing, colour unseen, brand unseen"
    assert len(COLUMNS.possible) == COLUMNS.width == 21


def test_one_hot_has_a_block_per_column_and_zeros_where_the_class_is_unknown() -> None:
    codes = torch.tensor([[4, 0, 1, 0, 0, 1, 1, 0], [UNKNOWN, 3, UNKNOWN, 1, 1, 0, 0, UNKNOWN]])
    blocks = COLUMNS.one_hot(codes).split(list(COLUMNS.sizes), 1)
    for column, block in enumerate(blocks):
        for row in range(2):
            expected = [float(code == codes[row, column]) for code in range(COLUMNS.sizes[column])]
            assert block[row].tolist() == expected


def test_a_layout_of_numbers_alone_has_no_discrete_column() -> None:
    columns = DiscreteColumns.of(FeatureLayout(numeric=(("x", 2), ("y", 2))))
    batch = ItemBatch(
        torch.zeros(3, 0, dtype=torch.int64),
        torch.zeros(3, 0),
        torch.ones(3, 2),
        torch.zeros(3, 2, dtype=torch.int64),
    )
    codes = columns.codes(batch)
    assert codes.shape == (3, 0)
    assert columns.one_hot(codes).shape == (3, 0)
    assert [part.shape for part in columns.split(codes)] == [(3, 0), (3, 0), (3, 2)]
