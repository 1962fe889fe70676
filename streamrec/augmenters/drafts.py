"""`Space` and `Draft`: the numbers in which families draw rows, and the way to them from a table and back."""

from __future__ import annotations

import difflib
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from streamrec.augmenters.protocol import Condition
from streamrec.augmenters.scores import Ranks, ScoreMap, spread
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.errors import CatalogError
from streamrec.layout import FIRST_CATEGORY_CODE, MISSING_STATE, VALUE_STATE
from streamrec.models.batch import ItemBatch
from streamrec.models.discrete import UNKNOWN, DiscreteColumns


class Draft(NamedTuple):
    """Rows as families draw them and the refinement reads them."""

    codes: NDArray[np.int64]
    """(n, K) codes of the discrete columns: categories, labels, missing flags of numbers."""
    scores: NDArray[np.float32]
    """(n, N) scores of the numbers; anything where the number is missing."""

    def take(self, positions: NDArray[np.int64] | slice) -> Draft:
        """The rows at positions."""
        return Draft(self.codes[positions], self.scores[positions])


def concatenate(drafts: list[Draft]) -> Draft:
    """One draft after another."""
    return Draft(*(np.concatenate(parts) for parts in zip(*drafts, strict=True)))


class Drafter(Protocol):
    """What a family adds to the shared space: how rows are drawn."""

    def draft(self, given: NDArray[np.int64], seed: int) -> Draft:
        """Draw rows (n,) with discrete codes as `given` (n, K), those that are UNKNOWN drawn too."""
        ...


class Space:
    """A codec, its discrete columns and its score map.

    Args:
        codec: of the run.
        scores: fitted on the rows that the families are fitted on.
    """

    def __init__(self, codec: FeatureCodec, scores: ScoreMap) -> None:
        self.codec, self.scores = codec, scores
        self.columns = DiscreteColumns.of(codec.layout)

    def codes(self, rows: EncodedRows) -> NDArray[np.int64]:
        """Discrete codes (n, K) of rows."""
        return self.columns.codes(ItemBatch.from_arrays(rows)).numpy()

    def draft(self, rows: EncodedRows, seed: int) -> Draft:
        """Real rows as a family would draw them, repeated values spread by seed."""
        return Draft(self.codes(rows), spread(self.scores.ranks(rows), seed))

    def ranks(self, rows: EncodedRows) -> Ranks:
        """Where the numbers of rows lie on the score axis."""
        return self.scores.ranks(rows)

    def missing(self, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n, N): the numbers that discrete codes (n, K) leave out."""
        return self.columns.split(torch.from_numpy(codes))[2].numpy()

    def rows(self, draft: Draft) -> EncodedRows:
        """Encoded rows of a draft: repeated values exact, all within the training range."""
        categories, labels, flags = self.columns.split(torch.from_numpy(draft.codes))
        missing = flags.numpy()
        return EncodedRows(
            categories=categories.numpy(),
            labels=labels.numpy(),
            numbers=np.where(missing, np.float32(0), self.scores.numbers(draft.scores)),
            states=np.where(missing, MISSING_STATE, VALUE_STATE).astype(np.int64),
        )

    def table(self, draft: Draft) -> pa.Table:
        """The feature columns of a draft."""
        return self.codec.decode(self.rows(draft))

    def log_scaling(self, rows: EncodedRows, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Sum (n,) over `cells` (n, N) of log d encoded number / d number: the codec's Jacobian."""
        total = np.zeros(len(rows))
        for index, number in enumerate(self.codec.numbers):
            chosen = cells[:, index]
            if chosen.any() and len(number.scaler.values) > 1:
                values = number.scaler.unscale(rows.numbers[chosen, index])
                total[chosen] += number.scaler.log_derivative(values)
        return total

    def given(self, n: int, condition: Condition | None) -> NDArray[np.int64]:
        """Codes (n, K) with the condition's, UNKNOWN elsewhere.

        Raises:
            CatalogError: no such categorical column, or a value that training never saw.
        """
        codes = np.full((n, len(self.columns.sizes)), UNKNOWN, dtype=np.int64)
        names = [codec.name for codec in self.codec.categories]
        for name, value in (condition or {}).items():
            if name not in names:
                found = ", ".join(names) or "none"
                raise CatalogError(f"condition: no categorical column '{name}'; found {found}")
            codec = self.codec.categories[names.index(name)]
            code = int(codec.encode(pa.chunked_array([pa.array([value])]))[0])
            if code < FIRST_CATEGORY_CODE:
                known = [str(item) for item in codec.vocabulary]
                close = difflib.get_close_matches(str(value), known, n=3) or known[:5]
                raise CatalogError(
                    f"condition: column '{name}' has no value {value!r} in training; try {', '.join(close)}"
                )
            codes[:, names.index(name)] = code
        return codes
