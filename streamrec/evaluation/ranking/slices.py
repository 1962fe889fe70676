"""Rankings cut by users' activity and by groups of items: where a recommender is good, and where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.evaluation.ranking.metrics import METRICS
from streamrec.evaluation.ranking.quality import RankingQuality

MISSING = "(missing)"
"""Group of the items whose cell is null."""
NO_HISTORY = "no history"
QUARTERS = ("least active quarter", "second quarter", "third quarter", "most active quarter")


@dataclass(frozen=True)
class ItemGroups:
    """Groups that items belong to, each item to none, one or several."""

    column: str
    """What groups them, as `genre`."""
    names: tuple[str, ...]
    member: NDArray[np.bool_]
    """(I, C)."""

    @classmethod
    def of(cls, column: str, cells: pa.Array | pa.ChunkedArray) -> ItemGroups:
        """Groups by a category, or by the labels of a list column; the most frequent first.

        Args:
            column: its name.
            cells: (I,) in the order of the catalogue.
        """
        array = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            rows, labels = pc.list_parent_indices(array), pc.list_flatten(array)
        else:
            rows, labels = pa.array(np.arange(len(array))), array
        codes = pc.dictionary_encode(pc.fill_null(pc.cast(labels, pa.string()), MISSING))
        member = np.zeros((len(array), len(codes.dictionary)), dtype=bool)
        member[rows.to_numpy(), codes.indices.to_numpy()] = True
        order = np.argsort(-member.sum(0), kind="stable")
        names = codes.dictionary.to_pylist()
        return cls(column, tuple(names[place] for place in order), member[:, order])

    @classmethod
    def cold(cls, cold: NDArray[np.bool_]) -> ItemGroups:
        """Warm and cold items; in a ranking of all items, how well cold ones stand against warm ones."""
        return cls("item", ("warm", "cold"), np.stack([~cold, cold], axis=1))


@dataclass(frozen=True)
class Slice:
    """Figures of one recommender on a part of the users or of the relevant items."""

    kind: str
    """`activity`, or the column of the groups."""
    name: str
    users: int
    """Users with a relevant item in the slice."""
    relevant: int
    """Relevant items in the slice, each counted once per user."""
    figures: dict[str, float]
    """Means over those users."""


def by_activity(quality: RankingQuality, figures: Sequence[str]) -> list[Slice]:
    """Users without history, and the others in quarters by how many items they had seen.

    Users of equal activity share a quarter; quarters that stay empty are left out.
    """
    active = quality.activity > 0
    edges = np.quantile(quality.activity[active], [0.25, 0.5, 0.75]) if active.any() else np.zeros(3)
    quarter = np.searchsorted(edges, quality.activity, side="left")
    masks = [(NO_HISTORY, ~active), *((name, active & (quarter == q)) for q, name in enumerate(QUARTERS))]
    values = {figure: quality.values(figure) for figure in figures}
    return [
        Slice(
            "activity",
            name,
            int(mask.sum()),
            int(quality.relevant[mask].sum()),
            {figure: float(found[mask].mean()) for figure, found in values.items()},
        )
        for name, mask in masks
        if mask.any()
    ]


def by_group(quality: RankingQuality, groups: ItemGroups, figures: Sequence[str]) -> list[Slice]:
    """Metrics with only a group's items counted as relevant, among the same rankings of all candidates.

    Groups that no user's relevant items belong to are left out.
    """
    return list(_groups(quality, groups, figures))


def _groups(quality: RankingQuality, groups: ItemGroups, figures: Sequence[str]) -> Iterator[Slice]:
    owner = np.repeat(np.arange(len(quality)), quality.relevant)
    for place, name in enumerate(groups.names):
        member = groups.member[:, place]
        relevant = np.bincount(owner[member[quality.relevant_items]], minlength=len(quality))
        rows = np.flatnonzero(relevant)
        if len(rows) == 0:
            continue
        # A place past the list's end has the item -1, which is no hit.
        hits = quality.hits[rows] & member[quality.top[rows]]
        yield Slice(
            groups.column,
            name,
            len(rows),
            int(relevant.sum()),
            {figure: _mean(figure, hits, relevant[rows]) for figure in figures},
        )


def _mean(figure: str, hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> float:
    metric, _, k = figure.partition("@")
    return float(METRICS[metric](hits, relevant, int(k)).mean())
