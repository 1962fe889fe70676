"""`measure_encoders`: champion and challenger on the same held-out items, by one ruler, with intervals.

The ruler is a codec fitted to the items that are compared: it says what the neighbours in the feature space
are, which categories and labels items share, and in which units the decoded numbers are compared. Neither
encoder is judged by a codec of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.config import CodecConfig, EvaluateConfig
from streamrec.evaluation.latents import feature_matrix, within_category_squares
from streamrec.evaluation.neighbours import (
    Floats,
    Positions,
    draw_positions,
    label_overlaps,
    list_overlaps,
    nearest,
    neighbour_recalls,
    purities,
    unit_rows,
)
from streamrec.evaluation.ranking.bootstrap import interval, replicate_means
from streamrec.models.batch import ItemBatch
from streamrec.retrieval.encoder import ItemEncoder

Values = NDArray[np.float64]

NEIGHBOUR_RECALL, VARIANCE_KEPT, LIST_OVERLAP = "neighbour recall", "variance kept", "list overlap"


def purity_of(column: str) -> str:
    """Name of the figure of a categorical column."""
    return f"purity of {column}"


def overlap_of(column: str) -> str:
    """Name of the figure of a multi-label column."""
    return f"overlap of {column}"


@dataclass(frozen=True)
class Compared:
    """A figure of both on the same items or users."""

    champion: float
    challenger: float
    low: float
    high: float
    """95% interval of the challenger's less the champion's, paired."""

    @property
    def difference(self) -> float:
        """The challenger's figure less the champion's."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Share:
    """A share, and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MeasuredEncoders:
    """Champion and challenger, measured."""

    figures: dict[str, Compared]
    """By name: neighbour recall, variance kept (where there are numbers), `purity_of` and `overlap_of`."""
    list_overlap: Share
    """Mean overlap of an item's neighbour lists."""
    items: int
    """Held-out items whose neighbours were compared."""
    reference: int
    """Items among which neighbours were searched."""
    k: int
    """Neighbours per item."""


def measure_encoders(
    champion: ItemEncoder,
    challenger: ItemEncoder,
    held_out: pa.Table,
    others: pa.Table,
    config: EvaluateConfig,
    codec: CodecConfig,
    seed: int,
    draws: int,
) -> MeasuredEncoders:
    """Compare on `held_out` items, neighbours searched among them and `others`.

    Args:
        champion, challenger: of the same schema.
        held_out: items to ask about, at most `config.queries` of them, drawn by seed.
        others: items of the same catalogue, the rest of `config.reference_rows`.
        config: sizes of the comparison.
        codec: settings of the ruler.
        seed: of the samples and of the bootstrap.
        draws: of items behind the intervals.

    Raises:
        CatalogError: an encoder cannot read the items.
    """
    rng = np.random.default_rng([seed, 6])
    asked = held_out.take(draw_positions(rng, len(held_out), config.queries))
    rest = others.take(draw_positions(rng, len(others), config.reference_rows - len(asked)))
    items = pa.concat_tables([asked, rest]).combine_chunks()
    ruler = FeatureCodec.fit(items, challenger.schema, codec)
    rows, queries = ruler.encode(items), np.arange(len(asked))
    k = min(config.k, len(items) - 1)
    space = _Space(ruler, rows, feature_matrix(rows, ruler.layout), queries)
    lists = [nearest(unit_rows(encoder.encode(items)), queries, k) for encoder in (champion, challenger)]
    before, after = (
        space.figures(found) | space.squares(_decoded(encoder, items, ruler))
        for encoder, found in zip((champion, challenger), lists, strict=True)
    )
    drawn = _Drawn.of(before, after, list_overlaps(*lists), seed, draws)
    return MeasuredEncoders(drawn.figures(), drawn.overlap(), len(asked), len(items), k)


_RESIDUAL, _WITHIN = "residual", "within"


@dataclass(frozen=True)
class _Space:
    """The items as the ruler sees them."""

    ruler: FeatureCodec
    rows: EncodedRows
    features: Floats
    queries: Positions

    def figures(self, found: Positions) -> dict[str, Values]:
        """Value (q,) of every figure of neighbours `found` (q, k)."""
        layout, start = self.ruler.layout, 0
        values = {NEIGHBOUR_RECALL: neighbour_recalls(found, self.features, self.queries)}
        for column, (name, _) in enumerate(layout.categorical):
            values[purity_of(name)] = purities(found, self.rows.categories[:, column], self.queries)
        for name, size in layout.multi_label:
            labels = self.rows.labels[:, start : start + size]
            values[overlap_of(name)] = label_overlaps(found, labels, self.queries)
            start += size
        return values

    def squares(self, decoded: Floats) -> dict[str, Values]:
        """Squares (q,) that the decoded numbers (n, N) leave, and those that there are."""
        if not self.rows.numbers.shape[1]:
            return {}
        means = self.rows[len(self.queries) :]
        residual, within = within_category_squares(means, self.rows, self.queries, decoded)
        return {_RESIDUAL: residual, _WITHIN: within} if within.any() else {}


@torch.no_grad()
def _decoded(encoder: ItemEncoder, items: pa.Table, ruler: FeatureCodec) -> Floats:
    """What the decoder makes of the items' embeddings: numbers (n, N) in the ruler's scaled units."""
    encoded, model = encoder.codec.encode(items), encoder.model
    prepared = model.prepare(ItemBatch.from_arrays(encoded))
    numbers = model.decode(model.encode(prepared)[0], prepared).numbers.numpy()
    ordinary = np.zeros_like(encoded.states)
    rows = encoder.codec.decode(EncodedRows(encoded.categories, encoded.labels, numbers, ordinary))
    return ruler.encode(rows).numbers


@dataclass(frozen=True)
class _Drawn:
    """Means over the items, and over drawn items: (draws, columns)."""

    names: tuple[str, ...]
    means: Values
    replicates: Values

    @classmethod
    def of(
        cls, before: dict[str, Values], after: dict[str, Values], overlap: Values, seed: int, draws: int
    ) -> _Drawn:
        """Columns are the champion's, the challenger's, and the overlap of their lists."""
        table = np.stack([*before.values(), *after.values(), overlap], axis=1)
        drawn = replicate_means([np.arange(len(table))], [table], seed, draws)
        return cls(tuple(before), table.mean(0), drawn)

    def figures(self) -> dict[str, Compared]:
        found = {}
        for name in self.names:
            if name not in (_RESIDUAL, _WITHIN):
                found[name] = self._compared(lambda values, name=name: values[name])  # type: ignore[misc]
        if _WITHIN in self.names:
            found[VARIANCE_KEPT] = self._compared(lambda values: 1 - values[_RESIDUAL] / values[_WITHIN])
        return found

    def overlap(self) -> Share:
        return Share(float(self.means[-1]), *interval(self.replicates[:, -1]))

    def _compared(self, figure: Callable[[dict[str, Values]], Values]) -> Compared:
        sides, width = [], len(self.names)
        for first in (0, width):
            at = {name: first + column for column, name in enumerate(self.names)}
            sides.append(
                tuple(
                    figure({name: values[..., column] for name, column in at.items()})
                    for values in (self.means, self.replicates)
                )
            )
        (champion, theirs), (challenger, ours) = sides
        return Compared(float(champion), float(challenger), *interval(ours - theirs))
