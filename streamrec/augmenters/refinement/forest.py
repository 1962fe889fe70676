"""`TreeArrays`: fitted scikit-learn trees as plain arrays, followed without scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import BundleError

Floats = NDArray[np.float32]
Nodes = NDArray[np.int64]

BLOCK = 8192
"""Rows followed at once: their cells and a tree stay in the processor's cache."""
STRIDE = 3
"""Levels between two looks for rows that have reached a leaf."""


@dataclass(frozen=True)
class TreeArrays:
    """Binary trees one after another; a node is its position among all nodes, a leaf its own child.

    A row goes left where its feature is at most the threshold. Leaves and values are those that scikit-learn
    finds, exactly, for every finite row.
    """

    roots: NDArray[np.int32]
    """First node (T,) of each tree, rising."""
    children: NDArray[np.int32]
    """Left and right child (nodes, 2)."""
    feature: NDArray[np.int32]
    """Column that a node asks for (nodes,); 0 in leaves."""
    threshold: Floats
    """Largest value that goes left (nodes,)."""
    value: NDArray[np.float64]
    """What a tree predicts for the training rows of a node (nodes,)."""

    @classmethod
    def of(cls, trees: Sequence[Any]) -> TreeArrays:
        """Copy fitted `DecisionTreeRegressor`s of one target."""
        grown = [tree.tree_ for tree in trees]
        roots = np.cumsum([0, *(tree.node_count for tree in grown)])[:-1]
        children = [np.empty((0, 2), np.int32)]
        for tree, root in zip(grown, roots, strict=True):
            pairs = np.column_stack([tree.children_left, tree.children_right])
            children.append(root + np.where(pairs < 0, np.arange(len(pairs))[:, None], pairs))
        return cls(
            roots=roots.astype(np.int32),
            children=np.concatenate(children).astype(np.int32),
            feature=np.maximum(_joined([tree.feature for tree in grown]), 0).astype(np.int32),
            threshold=_round_down(_joined([tree.threshold for tree in grown])),
            value=_joined([tree.value[:, 0, 0] for tree in grown]),
        )

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def nodes(self) -> int:
        """Nodes of all trees."""
        return len(self.feature)

    @property
    def leaves(self) -> NDArray[np.bool_]:
        """Which nodes are leaves (nodes,)."""
        return self._walk[2]

    def end(self, tree: int) -> int:
        """Node after the last of a tree."""
        return int(self.roots[tree + 1]) if tree + 1 < len(self) else self.nodes

    def apply(self, rows: Floats, tree: int) -> Nodes:
        """Leaf (n,) that each row (n, F) reaches in one tree, as a position among all nodes."""
        leaves = np.empty(len(rows), np.int64)
        for start in range(0, len(rows), BLOCK):
            leaves[start : start + BLOCK] = self._descend(rows[start : start + BLOCK], tree)
        return leaves

    def predict(self, rows: Floats) -> NDArray[np.float64]:
        """Sum (n,) over the trees of the values that rows (n, F) find in them."""
        total = np.zeros(len(rows))
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            for tree in range(len(self)):
                total[start : start + BLOCK] += self.value.take(self._descend(block, tree))
        return total

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for safetensors."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TreeArrays:
        """Inverse of `to_arrays`.

        Raises:
            BundleError: an array is absent, or they are not arrays of trees.
        """
        try:
            trees = cls(**{name: arrays[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise BundleError(
                f"stored trees: found no array {error}, expected {', '.join(cls.__dataclass_fields__)}; "
                "fit and save the augmenter again"
            ) from error
        itself, pairs = np.arange(trees.nodes), trees.children
        # A child stands behind its parent, or is the leaf itself: every walk ends.
        sound = (
            {len(trees.children), len(trees.threshold), len(trees.value)} == {trees.nodes}
            and pairs.shape == (trees.nodes, 2)
            and bool(((pairs > itself[:, None]).all(1) | (pairs == itself[:, None]).all(1)).all())
            and (pairs.max(initial=0) < max(trees.nodes, 1))
            and bool(((trees.roots >= 0) & (trees.roots < trees.nodes)).all())
        )
        if not sound:
            raise BundleError(
                "stored trees: found arrays of unequal lengths or nodes that lead nowhere, expected what "
                "`to_arrays` wrote; fit and save the augmenter again"
            )
        return trees

    @cached_property
    def _walk(self) -> tuple[Nodes, Nodes, NDArray[np.bool_]]:
        """Children one after another, features and which nodes are leaves, as fast indices."""
        children = self.children.astype(np.int64)
        return children.ravel(), self.feature.astype(np.int64), children[:, 0] == np.arange(self.nodes)

    def _descend(self, rows: Floats, tree: int) -> Nodes:
        children, feature, leaf = self._walk
        cells = np.ascontiguousarray(rows, np.float32).ravel()
        row = np.arange(len(rows))
        cell = row * rows.shape[1]
        node = np.full(len(rows), self.roots[tree], np.int64)
        leaves = node.copy()
        while len(row):
            for _ in range(STRIDE):
                right = cells.take(cell + feature.take(node)) > self.threshold.take(node)
                node = children.take(2 * node + right)
            leaves[row] = node
            walking = np.flatnonzero(~leaf.take(node))
            row, cell, node = row.take(walking), cell.take(walking), node.take(walking)
        return leaves


def under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names start with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _joined(parts: list[NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])


def _round_down(thresholds: NDArray[np.float64]) -> Floats:
    """Largest float32 at most as large: a float32 is below both or above both."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
