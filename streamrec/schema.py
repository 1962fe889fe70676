"""`FeatureSchema`: which column of the item table is the id, a category, a multi-label, a number."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict, field_validator, model_validator


class MultiLabelColumn(BaseModel):
    """A column that holds several labels per item: an Arrow list, or text split at `delimiter`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Column name."""
    delimiter: str | None = None
    """Separator of the labels where the column is text; None where it is a list."""


class FeatureSchema(BaseModel):
    """Roles of the item table's columns; columns not named here are ignored.

    Every column has one role. The order of the columns is the order of the encoded features.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    """Column that names each item: unique, never missing; text or integer."""
    categorical: tuple[str, ...] = ()
    """Columns with one category per item: text, boolean or integer."""
    multi_label: tuple[MultiLabelColumn, ...] = ()
    """Columns with any number of labels per item."""
    numeric: tuple[str, ...] = ()
    """Columns with one number per item; missing cells are allowed."""
    timestamp: str | None = None
    """Column with the item's date or time: checked and published, never a model input."""
    display: tuple[str, ...] = ()
    """Columns carried into the bundle for people to read (a title): never a model input."""

    @field_validator("multi_label", mode="before")
    @classmethod
    def _plain_names(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return [{"name": item} if isinstance(item, str) else item for item in value]
        return value

    @model_validator(mode="after")
    def _one_role_per_column(self) -> FeatureSchema:
        seen: set[str] = set()
        for column in self.columns:
            if column in seen:
                raise ValueError(f"column '{column}' has two roles; give it one")
            seen.add(column)
        if not (self.categorical or self.multi_label or self.numeric):
            raise ValueError("no feature column: name at least one under categorical, multi_label or numeric")
        return self

    @property
    def multi_label_names(self) -> tuple[str, ...]:
        """Names of the multi-label columns."""
        return tuple(column.name for column in self.multi_label)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The columns a model reads: categories, multi-labels, numbers."""
        return (*self.categorical, *self.multi_label_names, *self.numeric)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column the schema names: id, categories, multi-labels, numbers, timestamp, display."""
        timestamp = (self.timestamp,) if self.timestamp is not None else ()
        return (
            self.item_id,
            *self.categorical,
            *self.multi_label_names,
            *self.numeric,
            *timestamp,
            *self.display,
        )

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, equal exactly when the roles, their order and delimiters are equal."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
