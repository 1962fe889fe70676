from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import ndtri

from streamrec.augmenters.refinement import cells as cells_module
from streamrec.augmenters.refinement.cells import CellTrees
from streamrec.augmenters.refinement.inputs import ONE_HOT_CLASSES, RowInputs
from streamrec.errors import BundleError

Floats = NDArray[np.float32]


def middle(values: NDArray[np.float64]) -> Floats:
    """Equal values at equal scores: the middle of the ranks that they take up."""
    known = np.sort(values)
    ranks = np.searchsorted(known, values) + np.searchsorted(known, values, side="right")
    return ndtri(ranks / (2 * len(values))).astype(np.float32)


def dequantised(values: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """Equal values spread over the ranks that they take up."""
    ranks = np.argsort(np.lexsort((rng.random(len(values)), values)))
    return ndtri((ranks + 0.5) / len(values)).astype(np.float32)


class Known:
    """Rows whose numbers are tied: b = 2 a, c = a + b, f = a + d, and e is 0 exactly where g is."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        a, d = rng.integers(0, 12, n).astype(float), rng.integers(0, 4, n).astype(float)
        zero = rng.random(n) < 0.6
        e = np.where(zero, 0.0, rng.exponential(size=n))
        g = np.where(zero, 0.0, e + rng.exponential(size=n))
        self.values = np.column_stack([a, 2 * a, 3 * a, d, a + d, e, g])
        self.scores = np.column_stack([middle(column) for column in self.values.T])
        self.guide = np.column_stack([dequantised(column, rng) for column in self.values.T])
        self.missing = np.zeros(self.scores.shape, bool)
        self.codes = rng.integers(0, 3, (n, 1))

    def decode(self, scores: Floats) -> NDArray[np.float64]:
        found = np.empty(scores.shape)
        for column, (known, values) in enumerate(zip(self.scores.T, self.values.T, strict=True)):
            scale, first = np.unique(known, return_index=True)
            nearest = np.abs(scores[:, column, None] - scale).argmin(1)
            found[:, column] = values[first[nearest]]
        return found

    def fit(self, seed: int = 0, noise: float = 0.1, min_leaf: int = 5) -> CellTrees:
        return CellTrees.fit(self.scores, self.guide, self.missing, self.codes, [3], noise, min_leaf, seed)


def agreement(values: NDArray[np.float64]) -> dict[str, float]:
    a, b, c, d, f, e, g = values.T
    ties = {"b": b == 2 * a, "c": c == a + b, "f": f == a + d, "zero": (e == 0) == (g == 0)}
    return {name: float(tie.mean()) for name, tie in ties.items()}


def test_ties_that_noise_destroys_are_restored() -> None:
    train, fresh = Known(3000, 0), Known(2000, 1)
    noise = np.random.default_rng(2).standard_normal(fresh.guide.shape, np.float32)
    noisy = fresh.guide + np.float32(0.15) * noise
    before = agreement(train.decode(noisy))
    after = agreement(train.decode(train.fit(min_leaf=3).draw(noisy, fresh.missing, fresh.codes, 3)))
    assert max(before["b"], before["c"], before["f"]) < 0.5
    assert min(after["b"], after["c"], after["zero"]) > 0.95
    # Trees approach the sum of two free columns only as far as they can part both.
    assert after["f"] > 0.6


def test_a_drawn_row_follows_its_guide() -> None:
    train, fresh = Known(3000, 0), Known(2000, 1)
    drawn = train.fit().draw(fresh.guide, fresh.missing, fresh.codes, 3)
    for column in range(drawn.shape[1]):
        assert np.corrcoef(drawn[:, column], fresh.scores[:, column])[0, 1] > 0.95


def one_leaf(n: int) -> CellTrees:
    scores = np.random.default_rng(0).standard_normal((n, 1)).astype(np.float32)
    empty = np.zeros((n, 0), np.int64)
    return CellTrees.fit(scores, scores, np.zeros((n, 1), bool), empty, [], 0.1, n, 0)


@pytest.mark.parametrize("m", [37, 100, 250, 300, 1000])
def test_training_cells_of_a_leaf_are_used_equally_often(m: int) -> None:
    trees = one_leaf(100)
    drawn = trees.draw(np.zeros((m, 1), np.float32), np.zeros((m, 1), bool), np.zeros((m, 0), int), 1)
    uses = np.array([(drawn == donor).sum() for donor in np.unique(trees.donors)])
    assert len(uses) == 100
    assert uses.sum() == m
    assert uses.max() - uses.min() <= 1


def test_dealing_is_in_random_order() -> None:
    trees = one_leaf(100)
    guide, missing = np.zeros((100, 1), np.float32), np.zeros((100, 1), bool)
    first, second = (trees.draw(guide, missing, np.zeros((100, 0), int), seed)[:, 0] for seed in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.4
    assert abs(np.corrcoef(first, np.arange(100))[0, 1]) < 0.4


def test_cells_come_from_rows_of_the_same_class() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (4000, 1))
    scores = (rng.standard_normal((4000, 1)) + 3 * codes).astype(np.float32)
    missing = np.zeros(scores.shape, bool)
    trees = CellTrees.fit(scores, scores, missing, codes, [2], 1.0, 5, 0)
    guide = np.full((2000, 1), 1.5, np.float32)
    for code in (0, 1):
        drawn = trees.draw(guide, missing[:2000], np.full((2000, 1), code), 0)
        assert np.isin(drawn, scores[codes == code]).mean() > 0.97


def test_missing_cells_are_neither_drawn_nor_drawn_from() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((1000, 3)).astype(np.float32)
    missing = rng.random((1000, 3)) < 0.3
    missing[:, 2] = True
    scores[missing] = np.nan
    codes = np.zeros((1000, 0), int)
    trees = CellTrees.fit(scores, scores, missing, codes, [], 0.1, 5, 0)
    guide = rng.standard_normal((500, 3)).astype(np.float32)
    asked = rng.random((500, 3)) < 0.5
    drawn = trees.draw(guide, asked, codes[:500], 0)
    assert trees.columns.tolist() == [0, 1]
    assert np.array_equal(drawn[asked], guide[asked])
    assert np.array_equal(drawn[:, 2], guide[:, 2])
    for column in (0, 1):
        assert np.isin(drawn[~asked[:, column], column], scores[~missing[:, column], column]).all()


def test_the_same_seed_draws_the_same_bytes() -> None:
    train, fresh = Known(400, 0), Known(300, 1)
    draws = [
        train.fit(fit).draw(fresh.guide, fresh.missing, fresh.codes, draw).tobytes()
        for fit, draw in [(0, 0), (0, 0), (1, 0), (0, 1)]
    ]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_cell_trees_come_back_from_a_file(tmp_path: Path) -> None:
    train, fresh = Known(400, 0), Known(300, 1)
    trees = train.fit()
    save_file(trees.to_arrays(), tmp_path / "cells.safetensors")
    read = CellTrees.from_arrays(load_file(tmp_path / "cells.safetensors"))
    drawn = (t.draw(fresh.guide, fresh.missing, fresh.codes, 0) for t in (trees, read))
    assert np.array_equal(*drawn)


def shortened(arrays: Mapping[str, NDArray], name: str) -> dict[str, NDArray]:
    return {key: array[:-1] if key == name else array for key, array in arrays.items()}


@pytest.mark.parametrize("name", ["donors", "starts", "columns"])
def test_arrays_that_do_not_belong_together_are_refused(name: str) -> None:
    with pytest.raises(BundleError, match="stored cell trees"):
        CellTrees.from_arrays(shortened(Known(200, 0).fit().to_arrays(), name))


def test_an_absent_array_is_refused() -> None:
    arrays = Known(200, 0).fit().to_arrays()
    del arrays["noise"]
    with pytest.raises(BundleError, match="noise"):
        CellTrees.from_arrays(arrays)


def test_tables_without_numbers_need_no_trees() -> None:
    empty = np.zeros((5, 0), np.float32)
    trees = CellTrees.fit(empty, empty, empty.astype(bool), np.zeros((5, 1), int), [2], 0.1, 5, 0)
    trees = CellTrees.from_arrays(trees.to_arrays())
    assert trees.draw(empty, empty.astype(bool), np.zeros((5, 1), int), 0).shape == (5, 0)


def test_no_more_rows_are_learned_from_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "MAX_ROWS", 150)
    assert len(np.unique(Known(400, 0).fit().donors)) <= 150 * 7
    assert len(one_leaf(400).donors) == 150
    assert len(one_leaf(70).donors) == 140


def test_inputs_are_scores_then_classes() -> None:
    layout = RowInputs(2, (2, 3, ONE_HOT_CLASSES + 1))
    scores = np.array([[0.5, -1.0], [2.0, np.nan]], np.float32)
    found = layout.of(scores, np.isnan(scores), np.array([[1, 2, 30], [0, 0, 4]]))
    assert found.tolist() == [[0.5, -1.0, 1, 0, 0, 1, 30], [2.0, -10.0, 0, 1, 0, 0, 4]]
    assert found.shape[1] == layout.width
    assert found.dtype == np.float32
