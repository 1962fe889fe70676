"""`CellTrees`: numbers of generated rows drawn again from real cells, by one regression tree per column.

Sequential CART synthesis (Reiter, "Using CART to generate partially synthetic public use microdata", 2005)
guided by a generated row. A deep model places rows well and blurs what is exact: zeros, ties, bounds between
columns. A tree that sees the blurred row and the cells drawn before finds them again;
its leaves hold real cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeRegressor

from streamrec.augmenters.refinement.forest import Nodes, TreeArrays, under
from streamrec.augmenters.refinement.inputs import Codes, Flags, Floats, RowInputs
from streamrec.errors import BundleError

MAX_ROWS = 50_000
"""Training rows that a tree is grown on at most, copies counted; of more, these many are drawn by seed."""
COPIES = 3
"""Times that a training row is seen at most, each with noise of its own: trees learn less of it."""
SPLIT_INPUTS = 0.5
"""Share of the inputs that a split looks at."""


@dataclass(frozen=True)
class CellTrees:
    """A tree per numeric column that has real cells to draw from."""

    inputs: RowInputs
    noise: float
    """Standard deviation of what is added to a guide, in scores."""
    columns: NDArray[np.int32]
    """Column (T,) that each tree draws, rising."""
    trees: TreeArrays
    donors: Floats
    """Training scores (D,), leaf by leaf and rising in each."""
    starts: NDArray[np.int64]
    """Where the donors of each node start, and those of the last end (nodes + 1,); only leaves have any."""

    @classmethod
    def fit(
        cls,
        scores: Floats,
        guide: Floats,
        missing: Flags,
        discrete: Codes,
        classes: Sequence[int],
        noise: float,
        min_leaf: int,
        seed: int,
    ) -> CellTrees:
        """Grow the trees on real rows.

        Args:
            scores: cells (n, N) to draw from later; those of equal numbers are best equal.
            guide: the same rows (n, N) as the deep model would make them: repeated numbers spread out.
            missing: cells (n, N) without a number; nothing is drawn from them.
            discrete: codes (n, K).
            classes: codes of each discrete column (K,).
            noise: standard deviation of what is added to a guide. With none, generated rows keep what the
                deep model blurs; with much, trees forget the row that they are to follow.
            min_leaf: real cells of a leaf at least.
            seed: of the rows, the noise and the trees.
        """
        rng = np.random.default_rng([seed, 0])
        if len(scores) > MAX_ROWS:
            rows = np.sort(rng.choice(len(scores), MAX_ROWS, replace=False))
            scores, guide, missing, discrete = scores[rows], guide[rows], missing[rows], discrete[rows]
        copies = max(1, min(COPIES, MAX_ROWS // max(len(scores), 1)))
        layout = RowInputs(scores.shape[1], tuple(classes))
        seen = np.concatenate([_blurred(layout, guide, missing, discrete, noise, rng) for _ in range(copies)])
        columns = [column for column in range(layout.scores) if not missing[:, column].all()]
        grown, leaves, donors = [], [], []
        for column in range(layout.scores):
            present = ~missing[:, column]
            cells = scores[present, column]
            if len(cells):
                tree = DecisionTreeRegressor(
                    min_samples_leaf=copies * min_leaf,
                    max_features=SPLIT_INPUTS,
                    random_state=int(rng.integers(2**31)),
                )
                inputs = seen[np.tile(present, copies)]
                grown.append(tree.fit(inputs, np.tile(_ranks(cells), copies)))
                leaves.append(tree.apply(inputs))
                donors.append(np.tile(cells, copies))
            # A generated row shows the trees to come the cell that was drawn.
            seen[np.tile(present, copies), column] = np.tile(cells, copies)
        trees = TreeArrays.of(grown)
        found = [root + leaf for root, leaf in zip(trees.roots, leaves, strict=True)]
        leaf = np.concatenate([np.empty(0, np.int64), *found])
        cards = np.concatenate([np.empty(0, np.float32), *donors])
        return cls(
            inputs=layout,
            noise=noise,
            columns=np.array(columns, np.int32),
            trees=trees,
            donors=cards[np.lexsort((cards, leaf))],
            starts=np.concatenate([[0], np.cumsum(np.bincount(leaf, minlength=trees.nodes))]),
        )

    def draw(self, guide: Floats, missing: Flags, discrete: Codes, seed: int) -> Floats:
        """Scores (m, N) of generated rows, drawn column after column; missing cells keep their guide's.

        A cell is drawn from the training cells of the leaf that its row reaches. They are dealt out in random
        order, and again from the first once all are used: their uses differ by one at most.

        Args:
            guide: scores (m, N) that the deep model made.
            missing: cells (m, N) to be left alone.
            discrete: codes (m, K).
            seed: of the noise and the dealing.
        """
        rng = np.random.default_rng([seed, 1])
        scores = guide.astype(np.float32)
        seen = _blurred(self.inputs, guide, missing, discrete, self.noise, rng)
        for tree, column in enumerate(self.columns):
            present = np.flatnonzero(~missing[:, column])
            drawn = self._deal(self.trees.apply(seen[present], tree), tree, rng)
            scores[present, column] = seen[present, column] = drawn
        return scores

    def _deal(self, leaves: Nodes, tree: int, rng: np.random.Generator) -> Floats:
        """A training score (m,) for each leaf (m,) of one tree."""
        root, end = int(self.trees.roots[tree]), self.trees.end(tree)
        starts = self.starts[root : end + 1] - self.starts[root]
        sizes = np.diff(starts)
        cards = self.donors[self.starts[root] : self.starts[end]]
        holder = np.repeat(np.arange(end - root), sizes)
        cards = cards[np.lexsort((_turns(cards, holder, rng), holder))]
        order = rng.permutation(len(leaves))
        order = order[np.argsort(leaves[order], kind="stable")]
        leaf = leaves[order] - root
        turn = np.arange(len(leaf)) - np.searchsorted(leaf, leaf)
        drawn = np.empty(len(leaves), np.float32)
        drawn[order] = cards[starts[leaf] + turn % np.maximum(sizes[leaf], 1)]
        return drawn

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, for safetensors."""
        return {
            "scores": np.array([self.inputs.scores], np.int32),
            "classes": np.array(self.inputs.classes, np.int32),
            "noise": np.array([self.noise], np.float64),
            "columns": self.columns,
            "donors": self.donors,
            "starts": self.starts,
            **{f"trees.{name}": array for name, array in self.trees.to_arrays().items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> CellTrees:
        """Inverse of `to_arrays`.

        Raises:
            BundleError: an array is absent, or they are not arrays of cell trees.
        """
        trees = TreeArrays.from_arrays(under(arrays, "trees."))
        try:
            stored = cls(
                inputs=RowInputs(int(arrays["scores"][0]), tuple(arrays["classes"].tolist())),
                noise=float(arrays["noise"][0]),
                columns=arrays["columns"],
                trees=trees,
                donors=arrays["donors"],
                starts=arrays["starts"],
            )
        except LookupError as error:
            raise BundleError(
                f"stored cell trees: found no array {error}, expected what `to_arrays` wrote; "
                "fit and save the augmenter again"
            ) from error
        sizes = np.diff(stored.starts)
        if (
            len(stored.starts) != trees.nodes + 1
            or bool(((sizes > 0) != trees.leaves).any())
            or stored.starts[-1] != len(stored.donors)
            or len(stored.columns) != len(trees)
            or stored.columns.max(initial=0) >= max(stored.inputs.scores, 1)
            or trees.feature.max(initial=0) >= max(stored.inputs.width, 1)
        ):
            raise BundleError(
                f"stored cell trees: found {len(stored.donors)} donors, {int(trees.leaves.sum())} leaves and "
                f"{len(stored.columns)} columns of {len(trees)} trees, expected donors in every leaf and a "
                "column for every tree; fit and save the augmenter again"
            )
        return stored


def _blurred(
    layout: RowInputs,
    guide: Floats,
    missing: Flags,
    discrete: Codes,
    noise: float,
    rng: np.random.Generator,
) -> Floats:
    noisy = guide + np.float32(noise) * rng.standard_normal(guide.shape, dtype=np.float32)
    return layout.of(noisy, missing, discrete)


def _turns(cards: Floats, holder: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """When each card (D,) of its holder is dealt: at random, but equal ones in equal distances."""
    first = np.ones(len(cards), bool)
    first[1:] = (np.diff(holder) > 0) | (cards[1:] > cards[:-1])
    run = np.cumsum(first) - 1
    length = np.bincount(run)
    nth = np.arange(len(cards)) - np.flatnonzero(first)[run]
    return (nth + rng.random(len(cards))) / length[run]


def _ranks(cells: Floats) -> NDArray[np.float64]:
    """Share (n,) of cells below each, half of its equals counted: leaves do not chase the far ends."""
    known = np.sort(cells)
    return (np.searchsorted(known, cells) + np.searchsorted(known, cells, side="right")) / (2 * len(cells))
