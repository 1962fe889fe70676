"""The columns that points can be coloured by, as codes of their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streamrec.evaluation.neighbours import Positions
from streamrec.retrieval.arrow import to_arrow, to_numpy
from streamrec.schema import FeatureSchema

MAX_VALUES = 500
"""Values listed, the most frequent ones; a longer list helps nobody to read a map."""
NONE = -1
"""Code of a missing value, and of one that is not listed."""


def kinds(schema: FeatureSchema) -> dict[str, str]:
    """What each column that can be coloured by holds: `category`, or `labels` (any number of them)."""
    return dict.fromkeys(schema.categorical, "category") | dict.fromkeys(schema.multi_label_names, "labels")


@dataclass(frozen=True)
class ColumnCodes:
    """Values of a column by falling number of items, and what each of some rows has."""

    values: list[str]
    counts: list[int]
    """Items of the whole bundle that have each value."""
    others: int
    """Items with a value that is not listed; of labels, how often such a label is given."""
    missing: int
    """Items without any value."""
    codes: NDArray[np.int64]
    """Places in `values`: one per row, or the labels of all rows one after the other."""
    starts: NDArray[np.int64] | None
    """Of labels: where each row's codes begin, and the end of the last."""

    @classmethod
    def of(cls, column: pa.ChunkedArray, rows: Positions) -> ColumnCodes:
        """Count a column and encode its `rows`."""
        counted = _flat(column)
        found = pc.value_counts(counted.drop_null())
        counts = to_numpy(found.field("counts"))
        names = np.array([str(value) for value in found.field("values").to_pylist()], dtype=object)
        # Equal numbers in the order of the names: every process lists them alike.
        order = np.lexsort((names.astype(str), -counts)) if len(names) else np.empty(0, dtype=np.int64)
        listed = order[:MAX_VALUES]
        values = found.field("values").take(to_arrow(listed))
        chosen = column.take(to_arrow(rows)).combine_chunks()
        codes = to_numpy(pc.fill_null(pc.index_in(_flat(chosen), values), NONE)).astype(np.int64)
        missing = column.null_count
        starts = None
        if pa.types.is_list(column.type):
            lengths = to_numpy(pc.fill_null(pc.list_value_length(chosen), 0))
            starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            missing += int(pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0)
        return cls(
            names[listed].tolist(),
            counts[listed].tolist(),
            int(counts.sum() - counts[listed].sum()),
            missing,
            codes,
            starts,
        )


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.list_flatten(column) if pa.types.is_list(column.type) else column
