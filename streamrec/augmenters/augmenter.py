"""`TableAugmenter`: a family's draws, refined, as tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.augmenters.drafts import Draft, Drafter, Space, concatenate
from streamrec.augmenters.impute import impute
from streamrec.augmenters.protocol import Capabilities, Condition
from streamrec.augmenters.refinement.refinement import Refinement
from streamrec.augmenters.rows import RowDrafter
from streamrec.augmenters.settings import Family
from streamrec.catalog.codec import FeatureCodec
from streamrec.errors import SamplingError
from streamrec.schema import FeatureSchema
from streamrec.training.device import one_thread, resolve_device

BLOCK_ROWS = 32_768
"""Rows kept per block of candidates: memory does not grow with the rows asked for but by the table."""
LEAST_CANDIDATES = 64
"""Candidates of even the smallest sample: thinning few rows would hardly thin."""


class TableAugmenter:
    """An `Augmenter`.

    Args:
        family: its name.
        space: codec and scores.
        drafter: how rows are drawn.
        refinement: what makes them exact.
    """

    def __init__(self, family: Family, space: Space, drafter: Drafter, refinement: Refinement) -> None:
        self.family, self.space = family, space
        self.drafter, self.refinement = drafter, refinement

    @property
    def schema(self) -> FeatureSchema:
        """Columns of the item table it was fitted on."""
        return self.space.codec.schema

    @property
    def codec(self) -> FeatureCodec:
        """Codec of the run it was fitted in."""
        return self.space.codec

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond sampling."""
        return Capabilities(
            condition=self.family != "vae_prior",
            log_prob=hasattr(self.drafter, "log_density") and self.family != "diffusion",
            impute=self.family == "flow",
        )

    def sample(self, n: int, condition: Condition | None = None, seed: int = 0) -> pa.Table:
        """Draw rows (n,); see `Augmenter.sample`."""
        if condition and not self.capabilities.condition:
            raise SamplingError(f"{self.family}: takes no condition; use the families vae, diffusion or flow")
        return self.space.table(self.draft(n, condition, seed))

    def draft(self, n: int, condition: Condition | None = None, seed: int = 0) -> Draft:
        """The rows of `sample`, before they are decoded."""
        given = self.space.given(n, condition)
        seeds = np.random.SeedSequence(seed).spawn(max(1, math.ceil(n / BLOCK_ROWS)))
        blocks = [
            self._block(given[start : start + BLOCK_ROWS], source)
            for start, source in zip(range(0, max(n, 1), BLOCK_ROWS), seeds, strict=True)
        ]
        return concatenate(blocks)

    def log_prob(self, table: pa.Table, seed: int = 0) -> NDArray[np.float64]:
        """Log density (n,) of rows; see `Augmenter.log_prob`."""
        if not self.capabilities.log_prob:
            raise SamplingError(f"{self.family}: has no likelihood; use the families vae or flow")
        with one_thread(resolve_device("cpu")):
            return self.drafter.log_density(self.codec.encode(table), seed)  # type: ignore[attr-defined]

    def impute(self, table: pa.Table, draws: int, seed: int = 0) -> list[pa.Table]:
        """Tables (n,) like `table` with its missing cells drawn; see `Augmenter.impute`."""
        if not isinstance(self.drafter, RowDrafter):
            raise SamplingError(f"{self.family}: cannot impute; use the family flow")
        with one_thread(resolve_device("cpu")):
            return impute(self.space, self.drafter, table, draws, seed)

    def save(self, folder: Path) -> None:
        """Write the augmenter into `folder`."""
        from streamrec.augmenters.store import save_augmenter

        save_augmenter(self, folder)

    def _block(self, given: NDArray[np.int64], source: np.random.SeedSequence) -> Draft:
        first, second, third = (int(word) for word in source.generate_state(3))
        n = len(given)
        count = n
        if self.refinement.thins and n:
            count = max(math.ceil(n * self.refinement.candidates), LEAST_CANDIDATES)
        with one_thread(resolve_device("cpu")):
            draft = self.drafter.draft(given[np.arange(count) % max(n, 1)], first)
        draft = self.refinement.redraw(draft, self.space, second)
        return self.refinement.thin(draft, self.space, n, third)
