"""Missing cells drawn given the others: what changes, what does not, and by which law."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from small_augmenters import KINDS, NOISE, SCHEMA, SLOPE, augmenter, item_table, with_column

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.drafts import Draft
from streamrec.augmenters.impute import impute
from streamrec.augmenters.rows import RowDrafter
from streamrec.errors import CatalogError, SamplingError
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.settings import DiffusionConfig


def hidden(table: pa.Table, share: float, names: tuple[str, ...], seed: int = 0) -> pa.Table:
    """The table with a share of the cells of some columns made missing."""
    draw = np.random.default_rng(seed)
    for name in names:
        gone = pa.array(draw.random(len(table)) < share)
        column = table[name].combine_chunks()
        table = with_column(table, name, pc.if_else(gone, pa.scalar(None, column.type), column))
    return table


def test_only_missing_cells_change_and_all_of_them_do() -> None:
    table = hidden(item_table(60, seed=1), 0.3, ("kind", "x", "tags"))
    table = table.append_column("note", pa.array([float("nan")] * 60))
    (drawn,) = augmenter().impute(table, 1)
    assert drawn.schema.equals(table.schema)
    for name in table.column_names:
        there = pc.is_valid(table[name])
        assert drawn[name].filter(there).equals(table[name].filter(there)) or name == "note"
        assert name not in SCHEMA.feature_columns or drawn[name].null_count == 0
    assert np.isnan(drawn["note"].to_numpy()).all()
    assert set(drawn["kind"].to_pylist()) <= set(KINDS)


def test_a_number_follows_its_law_given_the_others() -> None:
    table = item_table(300, seed=2)
    empty = with_column(
        with_column(table, "y", pa.nulls(300, pa.float64())), "rating", pa.nulls(300, pa.float64())
    )
    draws = np.array([drawn["y"].to_numpy() for drawn in augmenter().impute(empty, 8)])
    errors = (draws - SLOPE * table["x"].to_numpy()) / NOISE
    assert abs(errors.mean()) < 0.2
    assert 0.8 < errors.std() < 1.3
    # Of the items themselves as many lie within the central draws as should.
    below = (draws < table["y"].to_numpy()).sum(0)
    assert abs(((below >= 1) & (below <= 7)).mean() - 7 / 9) < 0.1


def test_a_number_takes_only_values_of_its_column() -> None:
    table = item_table(200, seed=3)
    (drawn,) = augmenter().impute(with_column(table, "clicks", pa.nulls(200, pa.int64())), 1)
    clicks, kinds = drawn["clicks"].to_numpy(), np.array(table["kind"].to_pylist())
    assert drawn["clicks"].type == pa.int64()
    assert np.mean(clicks[kinds == "short"] == 0) > 0.9
    assert 4.5 < clicks[kinds == "film"].mean() < 7.5


def test_a_category_follows_the_other_categories_and_the_numbers() -> None:
    table = item_table(150, seed=4)
    nothing = pa.nulls(150, pa.string())
    truth = table["kind"].to_pylist()

    def agreement(masked: pa.Table) -> float:
        drawn = augmenter().impute(with_column(masked, "kind", nothing), 4)
        return float(
            np.mean([[a == b for a, b in zip(d["kind"].to_pylist(), truth, strict=True)] for d in drawn])
        )

    assert agreement(table) > 0.85
    # Without its size, what says that an item is no film is that it has no clicks and where its x lies.
    assert agreement(with_column(table, "size", nothing)) > 0.7


def test_a_row_that_lacks_classes_and_numbers_gets_both_from_what_is_left() -> None:
    table = item_table(150, seed=5)
    masked = with_column(
        with_column(table, "kind", pa.nulls(150, pa.string())), "y", pa.nulls(150, pa.float64())
    )
    (drawn,) = augmenter().impute(masked, 1)
    errors = (drawn["y"].to_numpy() - SLOPE * table["x"].to_numpy()) / NOISE
    assert errors.std() < 1.4
    assert (
        np.mean([a == b for a, b in zip(drawn["kind"].to_pylist(), table["kind"].to_pylist(), strict=True)])
        > 0.8
    )


def test_the_seed_decides_and_draws_differ_from_one_another() -> None:
    table = hidden(item_table(30, seed=6), 0.5, ("x", "kind"))
    first, again, other = (augmenter().impute(table, 2, seed) for seed in (1, 1, 2))
    assert all(a.equals(b) for a, b in zip(first, again, strict=True))
    assert not first[0].equals(other[0])
    assert not first[0].equals(first[1])


def test_columns_are_filled_in_the_type_they_have() -> None:
    table = hidden(item_table(40, seed=7), 0.5, ("kind", "clicks", "x", "tags"))
    stored = with_column(table, "kind", table["kind"].combine_chunks().dictionary_encode())
    stored = with_column(stored, "x", table["x"].combine_chunks().cast(pa.float32()))
    stored = with_column(stored, "clicks", table["clicks"].combine_chunks().cast(pa.int16()))
    stored = with_column(
        stored, "tags", table["tags"].combine_chunks().cast(pa.large_list(pa.large_string()))
    )
    (drawn,) = augmenter().impute(stored, 1)
    assert drawn.schema.equals(stored.schema)
    assert not any(drawn[name].null_count for name in ("kind", "clicks", "x", "tags"))


def test_a_table_without_missing_cells_comes_back_as_it_is() -> None:
    table = hidden(item_table(20, seed=8), 0.0, ("x",)).drop_columns(["rating"])
    table = table.append_column("rating", pa.array(np.full(20, 3.0)))
    table = with_column(table, "size", pa.array(["long"] * 20))
    assert augmenter().impute(table, 2) == [table, table]
    assert augmenter().impute(table[:0], 1)[0].num_rows == 0


def test_what_cannot_be_imputed_is_said() -> None:
    space = augmenter().space
    diffusion = RowDrafter(space, None, Diffusion(len(space.scores.columns), [], DiffusionConfig()))
    with pytest.raises(SamplingError, match="diffusion: cannot impute; use the family flow"):
        impute(space, diffusion, item_table(5), 1, 0)
    with pytest.raises(SamplingError, match="vae: cannot impute"):
        TableAugmenter("vae", space, Nothing(), augmenter().refinement).impute(item_table(5), 1)
    with pytest.raises(SamplingError, match="draws: found 0"):
        augmenter().impute(item_table(5), 0)
    with pytest.raises(CatalogError, match="no column 'x'"):
        augmenter().impute(item_table(5).drop_columns(["x"]), 1)


class Nothing:
    def draft(self, given: object, seed: int) -> Draft:
        raise NotImplementedError
