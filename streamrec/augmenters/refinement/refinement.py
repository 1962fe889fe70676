"""`Refinement`: drawn rows made exact cell by cell, then thinned to the density of real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtri

from streamrec.augmenters.drafts import Draft, Space
from streamrec.augmenters.refinement.cells import CellTrees
from streamrec.augmenters.refinement.forest import under
from streamrec.augmenters.refinement.inputs import Codes, Flags, Floats, RowInputs
from streamrec.augmenters.refinement.moments import MomentRatio
from streamrec.augmenters.refinement.ratio import DensityRatio, effective_rows, thin
from streamrec.augmenters.settings import RefineConfig
from streamrec.catalog.encoded import EncodedRows

ROTATIONS = 10
"""Principal components of the numbers in their own units that the ratio sees beside the scores."""
RATIO_ROWS = 50_000
"""Real rows that the ratio is fitted on, at most."""
DRAWS = 7
"""Drawn rows per real row that the ratio is fitted on: its trees know all but the last of them."""

LEAST_EFFECTIVE = 0.5
"""Share of the drawn rows that their ratios leave effective, at least: ratios that concentrate on fewer, as
where columns are tied exactly and only few rows keep the tie, are tempered until they do not."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Rotation:
    """Principal components of standardised numbers: what trees on single columns cannot see."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    components: NDArray[np.float64]
    """(N, r)."""

    @classmethod
    def fit(cls, numbers: NDArray[np.float64]) -> Rotation:
        """From the numbers (n, N) of real rows, NaN where missing."""
        counts = np.maximum((~np.isnan(numbers)).sum(0), 1)
        mean = np.nansum(numbers, 0) / counts
        deviation = np.sqrt(np.nansum((numbers - mean) ** 2, 0) / counts)
        deviation = np.where(deviation > 0, deviation, 1.0)
        centred = np.nan_to_num((numbers - mean) / deviation)
        _, components = np.linalg.eigh(centred.T @ centred)
        return cls(mean, deviation, components[:, ::-1][:, :ROTATIONS])

    def of(self, numbers: NDArray[np.float64]) -> NDArray[np.float32]:
        """Components (n, r) of numbers (n, N)."""
        centred = np.nan_to_num((numbers - self.mean) / self.deviation)
        return (centred @ self.components).astype(np.float32)


@dataclass(frozen=True)
class Refinement:
    """Trees of the cells and a density ratio in two parts, each where it was asked for."""

    cells: CellTrees | None = None
    ratio: DensityRatio | None = None
    power: float = 1.0
    """How much of what the trees of the ratio say counts."""
    moments: MomentRatio | None = None
    rotation: Rotation | None = None
    candidates: float = 1.0
    """Rows drawn per row that is kept."""

    @property
    def thins(self) -> bool:
        """Whether more rows are to be drawn than are kept."""
        return self.ratio is not None

    @classmethod
    def fit(
        cls,
        draft: Callable[[int, int], Draft],
        space: Space,
        rows: EncodedRows,
        config: RefineConfig,
        seed: int,
    ) -> Refinement:
        """Learn from training rows (n,) and from what a family draws.

        Args:
            draft: rows (m,) of the family by seed, not refined.
            space: codec and scores.
            rows: encoded training rows.
            config: settings.
            seed: of everything random.
        """
        if not space.scores.columns:
            return cls()
        real = space.draft(rows, seed)
        exact = Draft(real.codes, _middle(space, rows))
        missing = space.missing(real.codes)
        chosen = np.random.default_rng([seed, 7]).permutation(len(rows))[:RATIO_ROWS]
        # A stream of its own: no sample that a user draws by a small seed is one that trees were grown on.
        stream = int(np.random.SeedSequence([seed, 8]).generate_state(1)[0])
        drawn = draft(DRAWS * len(chosen), stream) if config.ratio_rounds else None
        cells = None
        if config.cells:
            cells = CellTrees.fit(
                exact.scores,
                real.scores,
                missing,
                real.codes,
                space.columns.sizes,
                config.noise,
                config.min_leaf,
                seed,
            )
        if drawn is None:
            return cls(cells)
        unthinned = cls(cells, rotation=Rotation.fit(_numbers(space, exact)))
        drawn = unthinned.redraw(drawn, space, seed)
        shown = (exact if cells else real).take(chosen)
        # First the shares of single columns and pairs: the trees then tell apart what is left.
        moments = MomentRatio.fit(_parts(shown, space), _parts(drawn, space), space.columns.sizes)
        matched = moments.log_ratio(*_parts(drawn, space))
        features, known = unthinned.features(drawn, space), len(drawn.codes) - len(chosen)
        ratio = DensityRatio.fit(
            unthinned.features(shown, space), features[:known], config.ratio_rounds, seed, matched[:known]
        )
        power = _power(matched[known:], ratio.log_ratio(features[known:]))
        return replace(unthinned, moments=moments, ratio=ratio, power=power, candidates=config.candidates)

    def redraw(self, draft: Draft, space: Space, seed: int) -> Draft:
        """Rows (n,) with every number drawn again from real cells."""
        if self.cells is None or not len(draft.codes):
            return draft
        missing = space.missing(draft.codes)
        return Draft(draft.codes, self.cells.draw(draft.scores, missing, draft.codes, seed))

    def thin(self, draft: Draft, space: Space, n: int, seed: int) -> Draft:
        """n of the rows, in the order in which they were drawn, by their density ratio."""
        if self.ratio is None or len(draft.codes) <= n:
            return draft.take(slice(n))
        log_ratio = self.power * self.ratio.log_ratio(self.features(draft, space))
        if self.moments is not None:
            log_ratio += self.moments.log_ratio(*_parts(draft, space))
        return draft.take(np.sort(thin(log_ratio, n, seed)))

    def features(self, draft: Draft, space: Space) -> NDArray[np.float32]:
        """What the ratio sees of rows: (n, F)."""
        inputs = RowInputs(draft.scores.shape[1], tuple(space.columns.sizes))
        found = inputs.of(draft.scores, space.missing(draft.codes), draft.codes)
        if self.rotation is None:
            return found
        return np.concatenate([found, self.rotation.of(_numbers(space, draft))], 1)

    def to_arrays(self) -> Arrays:
        """Arrays by name; `from_arrays` reads them back."""
        arrays: Arrays = {"candidates": np.array([self.candidates]), "power": np.array([self.power])}
        if self.cells is not None:
            arrays |= {f"cells.{name}": array for name, array in self.cells.to_arrays().items()}
        if self.ratio is not None:
            arrays |= {f"ratio.{name}": array for name, array in self.ratio.to_arrays().items()}
        if self.moments is not None:
            arrays |= {f"moments.{name}": array for name, array in self.moments.to_arrays().items()}
        if self.rotation is not None:
            parts = ("mean", "deviation", "components")
            arrays |= {f"rotation.{name}": getattr(self.rotation, name) for name in parts}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Refinement:
        """Inverse of `to_arrays`."""
        parts = ("cells", "ratio", "moments", "rotation")
        cells, ratio, moments, rotation = (under(arrays, f"{part}.") for part in parts)
        return cls(
            cells=CellTrees.from_arrays(cells) if cells else None,
            ratio=DensityRatio.from_arrays(ratio) if ratio else None,
            power=float(arrays["power"][0]),
            moments=MomentRatio.from_arrays(moments) if moments else None,
            rotation=Rotation(**rotation) if rotation else None,
            candidates=float(arrays["candidates"][0]),
        )


def _power(matched: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """The largest power of what trees told of rows (n,), 1 at most, that leaves enough of them effective."""

    def enough(power: float) -> bool:
        return effective_rows(matched + power * told) >= LEAST_EFFECTIVE * len(told)

    low, high = 0.0, 1.0
    if enough(high):
        return high
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return low


def _middle(space: Space, rows: EncodedRows) -> NDArray[np.float32]:
    """Scores (n, N) of rows with equal numbers at equal scores: the middle rank of their interval."""
    ranks = space.ranks(rows)
    inside = ranks.high > ranks.low
    middle = ndtri(np.where(inside, (ranks.low + ranks.high) / 2, 0.5))
    return np.where(inside, middle, ranks.scores).astype(np.float32)


def _parts(draft: Draft, space: Space) -> tuple[Floats, Flags, Codes]:
    """Scores (n, N), missing flags (n, N) and codes (n, K)."""
    return draft.scores, space.missing(draft.codes), draft.codes


def _numbers(space: Space, draft: Draft) -> NDArray[np.float64]:
    """Numbers (n, N) in their own units, NaN where missing."""
    rows = space.rows(draft)
    columns = [
        pc.cast(codec.decode(rows.numbers[:, i], rows.states[:, i]), pa.float64(), safe=False)
        for i, codec in enumerate(space.codec.numbers)
    ]
    return np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns])
