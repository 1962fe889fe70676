"""Settings of interactions: where events and users are read, what is expected of them, how they are split."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamrec.schema import FeatureSchema


class _Stage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _TableConfig(_Stage):
    path: str
    """File, folder (also partitioned) or fsspec/pyarrow URL."""
    format: Literal["auto", "parquet", "csv", "tsv", "arrow"] = "auto"
    """`auto` goes by the file's ending; a `.tsv`/`.inter`/`.user` file is tab-separated."""
    max_quarantined_share: float = Field(0.05, ge=0, le=1)
    """The run stops when more than this share of the rows breaks a row rule."""
    batch_rows: int = Field(65_536, ge=1)
    """Rows held in memory at once while they are read."""


class InteractionsConfig(_TableConfig):
    """Read who consumed what and when."""

    user: str = "user_id"
    """Column with the user's id: text or integer."""
    item: str = "item_id"
    """Column with the item's id, as in the catalogue."""
    rating: str | None = None
    """Column with a rating or weight; None: every event weighs 1."""
    timestamp: str | None = None
    """Column with the event's time; None: times are unknown, and nothing can be split by them."""
    min_rating: float | None = None
    """Rows rated below this are no positives and are left out; None: every row is an event."""

    @model_validator(mode="after")
    def _consistent(self) -> InteractionsConfig:
        columns = self.columns
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"column '{column}' has two roles; give it one")
        if self.min_rating is not None and self.rating is None:
            raise ValueError("'min_rating' needs 'rating', the column it is compared with")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read: user, item, rating, timestamp."""
        return tuple(c for c in (self.user, self.item, self.rating, self.timestamp) if c is not None)


class UsersConfig(_TableConfig):
    """Read features of users."""

    features: FeatureSchema
    """The user table's schema; its `item_id` is the column with the user's id."""


class InteractionsValidationConfig(_Stage):
    """What is expected of the events as a whole."""

    min_rows: int = Field(1, ge=1)
    """Critical: at least this many events are kept."""
    max_unknown_items: float = Field(0.01, ge=0, le=1)
    """Warning: share of the rows read whose item the catalogue does not have; they are left out."""
    max_future: float = Field(0.001, ge=0, le=1)
    """Critical: share of the events dated more than a day after now."""
    max_duplicates: float = Field(0.01, ge=0, le=1)
    """Warning: share of the events that repeat the user, item and time of another one."""
    max_user_share: float = Field(0.05, gt=0, le=1)
    """Warning: share of all events that one user may have, where there are 100 users or more."""
    max_user_hour: int = Field(1_000, ge=1)
    """Warning: events that one user may have within 60 minutes; more look like a machine's."""


class SplitConfig(_Stage):
    """How events are split for training, tuning and the test."""

    kind: Literal["time", "user", "item"] = "time"
    """`time`: the last events; `user`: random items of each user; `item`: all events of random items."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share held out for the test: of the events, of each user's items, or of the items with events."""
    validation: float = Field(0.1, gt=0, lt=1)
    """Share held out to tune on, of the same whole."""

    @model_validator(mode="after")
    def _leaves_training(self) -> SplitConfig:
        if self.test + self.validation >= 1:
            raise ValueError("'test' and 'validation' together must stay below 1")
        return self
