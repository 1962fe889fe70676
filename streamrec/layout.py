"""What a model must know of an encoded catalogue: the only type `catalog` and `models` share.

Standard library only, so that `models` and `training` run where nothing but torch is installed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MISSING_CODE = 0
"""Category code of a missing value."""
UNSEEN_CODE = 1
"""Category code of a value that was not in the training rows."""
FIRST_CATEGORY_CODE = 2
"""Code of the first category of the vocabulary."""

VALUE_STATE = 0
"""Number state: an ordinary value, described by the scaled number."""
MISSING_STATE = 1
"""Number state: the cell is missing."""
FIRST_ATOM_STATE = 2
"""Number state of the first atom: an exact value that many rows repeat (zero, a cap)."""

ONE_HOT_SCALE = 3.0
"""Length of a category's one-hot vector, and of a label, in the feature space whose neighbours an embedding
is to keep; a number counts by its scaled value."""


@dataclass(frozen=True)
class FeatureLayout:
    """Names and sizes of the encoded columns, in the order in which the arrays hold them."""

    categorical: tuple[tuple[str, int], ...] = ()
    """(column, number of codes); codes 0 and 1 are reserved for missing and unseen."""
    multi_label: tuple[tuple[str, int], ...] = ()
    """(column, vocabulary size): one indicator per label."""
    numeric: tuple[tuple[str, int], ...] = ()
    """(column, number of states): 0 an ordinary value, 1 missing, 2 and up one state per atom."""
    nullable: tuple[str, ...] = ()
    """Categorical and numeric columns with a missing cell among the training rows."""

    @property
    def label_width(self) -> int:
        """Total number of label indicators over all multi-label columns."""
        return sum(size for _, size in self.multi_label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FeatureLayout:
        """Inverse of `to_dict`."""
        sizes = {
            kind: tuple((str(name), int(size)) for name, size in data[kind])
            for kind in ("categorical", "multi_label", "numeric")
        }
        return cls(**sizes, nullable=tuple(data["nullable"]))
