"""`RowDrafter`: a masked model of the discrete columns, then a flow or a diffusion of the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.augmenters.drafts import Draft, Space
from streamrec.augmenters.scores import spread
from streamrec.catalog.encoded import EncodedRows
from streamrec.errors import SamplingError
from streamrec.models.diffusion.model import Diffusion
from streamrec.models.flow.model import FlowMatching
from streamrec.models.masked import MaskedNetwork, log_prob, sample

BLOCK_ROWS = 8_192
"""Rows that a network draws at once."""
DENSITY_ROWS = 1_024
"""Rows whose density is computed at once: it holds the network's layers for a gradient."""
DENSITY_DRAWS = 8
"""Draws of the spread cells that a row's log probability is averaged over, where it has any."""


class RowDrafter:
    """p(discrete) p(numbers | discrete).

    Args:
        space: codec and scores.
        discrete: model of the discrete columns; None where there are none.
        vectors: model of the scores given the discrete columns' one-hot.
    """

    def __init__(
        self, space: Space, discrete: MaskedNetwork | None, vectors: FlowMatching | Diffusion
    ) -> None:
        self.space = space
        self.discrete, self.vectors = discrete, vectors.eval()

    @torch.no_grad()
    def draft(self, given: NDArray[np.int64], seed: int) -> Draft:
        """Draw rows (n,) with discrete codes as `given` (n, K), those that are -1 drawn too."""
        generator = torch.Generator().manual_seed(seed)
        codes = draw_codes(self.discrete, given, generator)
        condition = self.space.columns.one_hot(codes)
        scores = [
            self.vectors.sample(
                torch.randn(len(block), self.vectors.dimension, generator=generator), block, generator
            )
            for block in condition.split(BLOCK_ROWS)
        ]
        return Draft(codes.numpy(), torch.cat(scores).numpy())

    def log_density(self, rows: EncodedRows, seed: int) -> NDArray[np.float64]:
        """Log density (n,) of encoded rows, in nats: a flow's is exact but for spread cells.

        Rows with spread or missing cells average `DENSITY_DRAWS` importance-weighted draws of them: a lower
        bound in expectation (Burda et al. 2016; Ho et al. 2019).
        """
        if not isinstance(self.vectors, FlowMatching):
            raise SamplingError("diffusion: has no likelihood; use the family flow")
        codes = torch.from_numpy(self.space.codes(rows))
        found = np.zeros(len(rows))
        if self.discrete is not None:
            found += log_prob(self.discrete, codes).numpy()
        ranks = self.space.ranks(rows)
        spread_cells = ranks.high > ranks.low
        found += self.space.log_scaling(rows, ~spread_cells)
        draws = DENSITY_DRAWS if spread_cells.any() else 1
        weights = np.stack([self._scored(rows, codes, seed + draw) for draw in range(draws)])
        highest = weights.max(0)
        return found + highest + np.log(np.exp(weights - highest).mean(0))

    def _scored(self, rows: EncodedRows, codes: Tensor, seed: int) -> NDArray[np.float64]:
        assert isinstance(self.vectors, FlowMatching)
        ranks = self.space.ranks(rows)
        scores = spread(ranks, seed)
        terms = self.space.scores.log_derivative(rows, ranks, scores).sum(1)
        for block in _blocks(len(rows), DENSITY_ROWS):
            condition = self.space.columns.one_hot(codes[block])
            density = self.vectors.log_density(torch.from_numpy(scores[block]), condition, seed)
            terms[block] += density.double().numpy()
        return terms


def draw_codes(
    discrete: MaskedNetwork | None, given: NDArray[np.int64], generator: torch.Generator
) -> Tensor:
    """Discrete codes (n, K), those that are UNKNOWN in `given` drawn given the others."""
    known = torch.from_numpy(given)
    return known if discrete is None else sample(discrete.eval(), len(known), known, generator)


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
