from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.tree import DecisionTreeRegressor

from streamrec.augmenters.refinement.forest import TreeArrays
from streamrec.errors import BundleError


def rows(n: int, seed: int, digits: int = 7) -> np.ndarray:
    return np.round(np.random.default_rng(seed).standard_normal((n, 6)), digits).astype(np.float32)


def grown(seed: int, digits: int = 7) -> list[DecisionTreeRegressor]:
    """Depth-first, best-first, a stump that is a leaf, a tree on extra-random splits."""
    x = rows(400, seed, digits)
    y = x[:, 0] * x[:, 1] + np.random.default_rng(seed).standard_normal(400)
    kinds = [
        {"min_samples_leaf": 2},
        {"max_leaf_nodes": 31},
        {"max_depth": 1, "min_samples_leaf": 300},
        {"splitter": "random"},
    ]
    return [DecisionTreeRegressor(random_state=seed, **kind).fit(x, y) for kind in kinds]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), digits=st.sampled_from([0, 1, 7]))
def test_leaves_and_sums_are_those_of_scikit_learn(seed: int, digits: int) -> None:
    fitted = grown(seed, digits)
    trees = TreeArrays.of(fitted)
    asked = rows(9_000, seed + 1, digits)  # more than one block
    for index, tree in enumerate(fitted):
        assert np.array_equal(trees.apply(asked, index), trees.roots[index] + tree.apply(asked))
    expected = sum(tree.predict(asked) for tree in fitted)
    np.testing.assert_allclose(trees.predict(asked), expected, rtol=1e-12, atol=1e-12)


def test_a_threshold_between_two_neighbouring_floats_parts_them() -> None:
    low = np.float32(100)
    high = np.nextafter(low, np.float32(200))
    x = np.array([[low], [high]] * 4, np.float32)
    tree = DecisionTreeRegressor().fit(x, x[:, 0] > low)
    asked = np.array([[np.nextafter(low, np.float32(0))], [low], [high]], np.float32)
    assert tree.tree_.threshold[0] not in (low, high)
    assert TreeArrays.of([tree]).apply(asked, 0).tolist() == tree.apply(asked).tolist() == [1, 1, 2]


def test_no_trees_add_nothing() -> None:
    assert TreeArrays.of([]).predict(rows(3, 0)).tolist() == [0, 0, 0]


def test_trees_come_back_from_a_file(tmp_path: Path) -> None:
    trees = TreeArrays.of(grown(3))
    save_file(trees.to_arrays(), tmp_path / "trees.safetensors")
    read = TreeArrays.from_arrays(load_file(tmp_path / "trees.safetensors"))
    asked = rows(50, 4)
    assert np.array_equal(read.predict(asked), trees.predict(asked))
    assert {n: a.dtype for n, a in read.to_arrays().items()} == {
        n: a.dtype for n, a in trees.to_arrays().items()
    }


def test_an_absent_array_is_named() -> None:
    arrays = TreeArrays.of(grown(3)).to_arrays()
    del arrays["threshold"]
    with pytest.raises(BundleError, match="threshold"):
        TreeArrays.from_arrays(arrays)


@pytest.mark.parametrize("child", [0, 10_000])
def test_a_walk_without_end_is_refused(child: int) -> None:
    arrays = {name: array.copy() for name, array in TreeArrays.of(grown(3)).to_arrays().items()}
    arrays["children"][1, 1] = child
    with pytest.raises(BundleError, match="lead nowhere"):
        TreeArrays.from_arrays(arrays)
