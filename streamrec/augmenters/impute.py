"""Missing cells of item rows, drawn given the rows' other cells."""

from __future__ import annotations

import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamrec.augmenters.drafts import Draft, Space
from streamrec.augmenters.rows import DENSITY_ROWS, RowDrafter
from streamrec.catalog.encoded import EncodedRows
from streamrec.errors import SamplingError
from streamrec.layout import MISSING_CODE, MISSING_STATE
from streamrec.models.discrete import UNKNOWN
from streamrec.models.flow.evidence import log_evidence
from streamrec.models.flow.inpainting import inpaint
from streamrec.models.flow.model import FlowMatching
from streamrec.models.flow.solvers import uniform_grid
from streamrec.models.masked import MaskedNetwork, sample

STEPS = 20
"""Steps from noise to data in which missing numbers are drawn."""
CANDIDATES = 32
"""Draws of a row's missing classes among which its numbers decide."""
LEVELS = 128
"""Levels of noise at which they do."""
SWEEPS = 2
"""Times that classes and numbers are drawn in turn where a row lacks both."""

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


def impute(space: Space, drafter: RowDrafter, table: pa.Table, draws: int, seed: int) -> list[pa.Table]:
    """Tables (n,) like `table`, `draws` of them, in which the missing cells of feature columns are drawn.

    Nothing else changes: not the other cells, nor the other columns, nor the types. A cell stays missing
    where training had no value of its column. A null list counts as missing, an empty one as no label.

    Raises:
        CatalogError: a feature column is absent or holds values of another kind.
        SamplingError: no draw is asked for, or the family is not flow.
    """
    if draws < 1:
        raise SamplingError(f"draws: found {draws}, expected at least 1")
    imputer = Imputer(space, drafter, seed)
    rows = space.codec.encode(table)
    missing = _missing(space, rows, table)
    lacking = np.flatnonzero(np.any(list(missing.values()), axis=0))
    if len(lacking) == 0:
        return [table] * draws
    given, known = _known(space, rows, missing)
    scores = space.draft(rows, seed).scores
    found = imputer.draw(given[lacking], scores[lacking], known[lacking], draws)
    return [_filled(space, table, missing, lacking, draft) for draft in found]


class Imputer:
    """Draws of the unknown classes and numbers of rows.

    Classes alone come from the masked network. Where a row has numbers, `CANDIDATES` of its draws are
    weighted by how likely the flow finds the numbers under each, and one is kept (sampling importance
    resampling, Rubin 1987).

    Args:
        space: codec and scores.
        drafter: whose flow it is.
        seed: of the draws.

    Raises:
        SamplingError: the family is not flow.
    """

    def __init__(self, space: Space, drafter: RowDrafter, seed: int) -> None:
        if not isinstance(drafter.vectors, FlowMatching):
            raise SamplingError("diffusion: cannot impute; use the family flow")
        self._space, self._flow = space, drafter.vectors
        self._discrete = None if drafter.discrete is None else _without_missing(drafter.discrete, space)
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, given: Codes, scores: Floats, known: Flags, draws: int) -> list[Draft]:
        """Rows (n,), `draws` times: codes as `given` (n, K), scores (n, N) as they are where `known` (n,
        N)."""
        codes, numbers = torch.from_numpy(given), torch.from_numpy(scores)
        there = torch.from_numpy(known)
        classes_known, numbers_known = (codes != UNKNOWN).all(1), there.all(1)
        drawn_codes = codes.repeat(draws, 1, 1)
        drawn_scores = numbers.repeat(draws, 1, 1)
        alone = (~classes_known & numbers_known).nonzero()[:, 0]
        drawn_codes[:, alone] = self._classes(codes[alone], numbers[alone], draws)
        rest = (~numbers_known).nonzero()[:, 0]
        # All draws at once: a small table's time is that of the calls, not of the rows.
        found = self._both(*(part[rest].repeat(draws, 1) for part in (codes, numbers, there)))
        drawn_scores[:, rest], drawn_codes[:, rest] = (
            part.unflatten(0, (draws, len(rest))) for part in found
        )
        return [Draft(c.numpy(), s.numpy()) for c, s in zip(drawn_codes, drawn_scores, strict=True)]

    def _both(self, codes: Tensor, scores: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and codes of rows that lack numbers, and maybe classes."""
        lacking = (codes == UNKNOWN).any(1).nonzero()[:, 0]
        drawn = self._prior(codes)
        found = self._numbers(drawn, scores, known)
        for _ in range(SWEEPS if len(lacking) else 0):
            drawn[lacking] = self._classes(codes[lacking], found[lacking], 1)[0]
            found[lacking] = self._numbers(drawn[lacking], scores[lacking], known[lacking])
        return found, drawn

    def _prior(self, codes: Tensor) -> Tensor:
        if self._discrete is None:
            return codes.clone()
        return sample(self._discrete, len(codes), codes, self._generator)

    def _numbers(self, codes: Tensor, scores: Tensor, known: Tensor) -> Tensor:
        found = torch.empty_like(scores)
        times = uniform_grid(STEPS)
        for start in range(0, len(codes), DENSITY_ROWS):
            block = slice(start, start + DENSITY_ROWS)
            velocity = self._flow.velocity(self._space.columns.one_hot(codes[block]), 0.0)
            found[block] = inpaint(velocity, scores[block], known[block], times, self._generator)
        return found

    def _classes(self, codes: Tensor, scores: Tensor, draws: int) -> Tensor:
        """Codes (draws, n, K) of rows whose numbers are all known."""
        if not self._flow.dimension or not len(codes):
            return torch.stack([self._prior(codes) for _ in range(draws)])
        candidates = self._prior(codes.repeat_interleave(CANDIDATES, 0))
        row = torch.arange(len(codes)).repeat_interleave(CANDIDATES)
        distinct, counts = torch.unique(torch.cat([row[:, None], candidates], 1), dim=0, return_counts=True)
        owner, distinct = distinct[:, 0].contiguous(), distinct[:, 1:]
        # Counts are the candidates' prior: the weight of a class is that times its density.
        weights = counts.double().log() + self._evidence(distinct, scores, owner)
        table = weights.new_full((len(codes), CANDIDATES), -torch.inf)
        first = torch.searchsorted(owner, torch.arange(len(codes)))
        table[owner, torch.arange(len(owner)) - first[owner]] = weights
        chosen = torch.multinomial(table.softmax(1), draws, replacement=True, generator=self._generator)
        return distinct[(first[:, None] + chosen).T]

    def _evidence(self, codes: Tensor, scores: Tensor, owner: Tensor) -> Tensor:
        """Log density (m,), but for a constant per owner, of the owners' scores (n, N) under codes (m, K)."""
        found = torch.empty(len(codes), dtype=torch.float64)
        for start in range(0, len(scores), DENSITY_ROWS):
            rows = ((owner >= start) & (owner < start + DENSITY_ROWS)).nonzero()[:, 0]
            velocity = self._flow.velocity(self._space.columns.one_hot(codes[rows]), 0.0)
            numbers, groups = scores[owner[rows]], owner[rows] - start
            found[rows] = log_evidence(velocity, numbers, groups, LEVELS, self._generator)
        return found


def _missing(space: Space, rows: EncodedRows, table: pa.Table) -> dict[str, Flags]:
    """Which cells (n,) of each feature column are to be drawn."""
    codec = space.codec
    found: dict[str, Flags] = {}
    for index, category in enumerate(codec.categories):
        found[category.name] = (rows.categories[:, index] == MISSING_CODE) & (len(category.vocabulary) > 0)
    for labels in codec.labels:
        found[labels.name] = pc.is_null(table[labels.name]).to_numpy() & (len(labels.vocabulary) > 0)
    for index, number in enumerate(codec.numbers):
        found[number.name] = (rows.states[:, index] == MISSING_STATE) & (len(number.scaler.values) > 0)
    return found


def _known(space: Space, rows: EncodedRows, missing: dict[str, Flags]) -> tuple[Codes, Flags]:
    """Codes (n, K), UNKNOWN where they are to be drawn, and which numbers (n, N) are known."""
    codec, codes = space.codec, space.codes(rows)
    for column, category in enumerate(codec.categories):
        codes[missing[category.name], column] = UNKNOWN
    start = len(codec.categories)
    for labels in codec.labels:
        codes[missing[labels.name], start : start + len(labels.vocabulary)] = UNKNOWN
        start += len(labels.vocabulary)
    # What is left are flags of missing numbers, and no number is to be missing.
    codes[:, start:] = 0
    return codes, rows.states != MISSING_STATE


def _without_missing(network: MaskedNetwork, space: Space) -> MaskedNetwork:
    """The network with the class `missing` of categories made impossible, where there is another."""
    network = copy.deepcopy(network).eval()
    for column, category in enumerate(space.codec.categories):
        if len(category.vocabulary):
            network.possible[network.starts[column] + MISSING_CODE] = False
    return network


def _filled(
    space: Space, table: pa.Table, missing: dict[str, Flags], rows: NDArray[np.intp], draft: Draft
) -> pa.Table:
    drawn = space.table(draft)
    place = np.zeros(len(table), np.int64)
    place[rows] = np.arange(len(rows))
    delimiters = {labels.name: labels.delimiter for labels in space.codec.labels}
    for name, cells in missing.items():
        if cells.any():
            index = table.schema.get_field_index(name)
            values = _as_type(drawn[name], table.schema.field(index).type, delimiters.get(name))
            column = _replaced(table.column(index), cells, values, place)
            table = table.set_column(index, table.schema.field(index).with_type(column.type), column)
    return table


def _replaced(
    column: pa.ChunkedArray, cells: Flags, values: pa.ChunkedArray, place: NDArray[np.int64]
) -> pa.ChunkedArray:
    """`column` with `cells` from `values` at `place`."""
    kind = column.type
    plain = column.cast(values.type) if kind != values.type else column
    both = pa.chunked_array([*plain.chunks, *values.chunks], values.type).combine_chunks()
    index = np.where(cells, len(column) + place, np.arange(len(cells)))
    taken = pa.chunked_array([both.take(pa.array(index))])
    return taken.cast(kind) if pa.types.is_dictionary(kind) else taken


def _as_type(values: pa.ChunkedArray, kind: pa.DataType, delimiter: str | None) -> pa.ChunkedArray:
    """Drawn values as the table's column stores them."""
    if pa.types.is_null(kind):
        return values
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(values.type) and not _is_list(kind):
        values = pc.binary_join(values, delimiter)
    if pa.types.is_floating(values.type) and pa.types.is_integer(kind):
        values = pc.round(values)
    return values.cast(kind, safe=False)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
