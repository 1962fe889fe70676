"""`generate_interactions`: users and their events over a `structured` catalogue, with the true relevance.

    generate_items    how popular each item of the catalogue is
    generate_users    who the users are, when they joined, how active they are
    generate_slates   what a visit is shown, what is looked at and clicked
    generate_truth    how relevant an item is to a user at a time

The clicks of 2024 are the events; half of the items and users are there from its start. Visits come at
an even rate, whole seconds, and a click bears the time of its visit. A user clicks an item once: further
clicks on it are left out, and visits are drawn until the number of events is reached.

Columns of the events: `user_id`, `item_id`, `weight`, `timestamp` (sorted by time, then user, then item),
and `position`, 1 to 10: where in the slate the item was. The weight, 1 to 5, is one more than the number
of `WEIGHT_EDGES` below `fit + N(0, 1)`: it depends on how well the item suits the user, not on popularity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from streamrec.catalog.write import TableWriter
from streamrec.errors import CatalogError, ConfigError
from streamrec.interactions.generate_items import read_items
from streamrec.interactions.generate_slates import Platform
from streamrec.interactions.generate_truth import END_SECOND, FIRST_SECOND, TrueRelevance
from streamrec.interactions.generate_users import USER_ARROW_SCHEMA, draw_users
from streamrec.interactions.table import Positions

CHUNK_EVENTS = 65_536
"""Events drawn at once, at most; another value gives other events."""
WEIGHT_EDGES = np.array([-0.5, 0.75, 2.0, 3.25])
CLICKS_PER_VISIT = 0.5
"""A guess of how many visits to draw; another value gives other events."""
MAX_TRIES = 100
"""Visits drawn before giving up, in units of the visits expected."""

EVENT_ARROW_SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("weight", pa.float32()),
        ("timestamp", pa.timestamp("us")),
        ("position", pa.int8()),
    ]
)


class GenerateInteractionsConfig(BaseModel):
    """Make synthetic users and events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = Field(5_000, ge=1)
    """Number of users."""
    events: int = Field(200_000, ge=1)
    """Number of events."""
    seed: int = Field(42, ge=0)
    """Seed of the draws."""


@dataclass(frozen=True)
class InteractionFiles:
    """Where the interactions, and what else is wanted, are written; existing files are replaced."""

    events: Path
    users: Path | None = None
    """Parquet of what is known of the users (`generate_users.USER_ARROW_SCHEMA`)."""
    truth: Path | None = None
    """npz of the true relevance (`TrueRelevance.load`)."""


def generate_interactions(
    config: GenerateInteractionsConfig,
    catalogue: str | Path,
    item_truth: str | Path,
    files: InteractionFiles,
    progress: Callable[[int, int | None], None] | None = None,
) -> None:
    """Draw `config.users` users and `config.events` of their events with the items of a catalogue.

    Events are drawn, written and forgotten `CHUNK_EVENTS` at a time, in the order of time, each chunk from
    its own random stream; what stays is a number of 8 bytes per event, so that no pair is drawn twice. The
    same configuration and catalogue give the same bytes; numpy may change its streams in a new version.
    No file is seen under its name before it is complete, the events last.

    Args:
        config: number of users and events, seed.
        catalogue: Parquet file that `generate` wrote with the preset `structured`.
        item_truth: the ground truth written beside it.
        files: what to write.
        progress: called with (events done, events in all) after every chunk.

    Raises:
        CatalogError: `catalogue` and `item_truth` are no such files or do not belong together; one name is
            given to two files; a file cannot be written.
        ConfigError: there are more events than the users and items can have.
    """
    _require_distinct(files, Path(catalogue), Path(item_truth))
    items = read_items(Path(catalogue), Path(item_truth), config.seed)
    users = draw_users(config.users, config.seed)
    truth = TrueRelevance(
        users.table["user_id"].combine_chunks(), items.ids, users.tastes, items.factors, items.popularity
    )
    events = _Events(config, Platform(truth, users, items.published))
    try:
        with TableWriter(files.events, EVENT_ARROW_SCHEMA) as writer:
            for done, batch in events.chunks():
                writer.write(batch)
                if progress is not None:
                    progress(done, config.events)
            if files.users is not None:
                with TableWriter(files.users, USER_ARROW_SCHEMA, plain=["user_id"]) as user_writer:
                    for batch in users.table.to_batches(CHUNK_EVENTS):
                        user_writer.write(batch)
            if files.truth is not None:
                truth.save(files.truth)
    except OSError as error:
        where = error.filename or files.events
        raise CatalogError(f"{where}: cannot write the interactions: {error.strerror or error}") from error


def _require_distinct(files: InteractionFiles, *read: Path) -> None:
    paths = [path.resolve() for path in (files.events, files.users, files.truth, *read) if path is not None]
    for path in paths:
        if paths.count(path) > 1:
            raise CatalogError(f"{path}: named for two of the generated files; give each a name of its own")


class _Events:
    def __init__(self, config: GenerateInteractionsConfig, platform: Platform) -> None:
        self._config = config
        self._platform = platform
        self._truth = platform.truth
        self._items = len(self._truth.item_ids)
        self._taken = np.empty(0, np.int64)

    def chunks(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Events by rising time, with how many there are so far."""
        total = self._config.events
        parts = -(-total // CHUNK_EVENTS)
        bounds = [total * part // parts for part in range(parts + 1)]
        for part, (first, end) in enumerate(pairwise(bounds)):
            rng = np.random.default_rng(np.random.SeedSequence(self._config.seed, spawn_key=(3, part)))
            seconds = [FIRST_SECOND + (END_SECOND - FIRST_SECOND) * bound // total for bound in (first, end)]
            yield end, self._chunk(end - first, seconds[0], seconds[1], rng)

    def _chunk(self, events: int, first: int, end: int, rng: np.random.Generator) -> pa.RecordBatch:
        """Exactly so many events from `first` on and before `end`, seconds since 1970."""
        found: list[NDArray[np.int64]] = []
        missing, tries = events, 0.0
        while missing:
            visits = max(1_024, round(missing / CLICKS_PER_VISIT))
            clicks = self._new_clicks(rng.integers(first, end, size=visits), rng)[:, :missing]
            found.append(clicks)
            self._taken = np.sort(
                np.concatenate([self._taken, clicks[0] * self._items + clicks[1]]), kind="stable"
            )
            missing -= clicks.shape[1]
            tries += visits * CLICKS_PER_VISIT / max(events, 1_024)
            if tries > MAX_TRIES:
                raise ConfigError(
                    f"events: found {self._config.events:,}, but {self._config.users:,} users and "
                    f"{self._items:,} items hardly have that many; give fewer events or more of the others"
                )
        users, items, times, positions = np.concatenate(found, axis=1)
        order = np.lexsort((items, users, times))
        return self._batch(users[order], items[order], times[order], positions[order], rng)

    def _new_clicks(self, times: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """(4, n) user, item, second and position of clicks on items that the user has not clicked before."""
        shown = self._platform.visits(times, rng)
        visit, column = np.nonzero(shown.clicked)
        clicks = np.stack([shown.users[visit], shown.items[visit, column], times[visit], column + 1])
        pairs, first = np.unique(clicks[0] * self._items + clicks[1], return_index=True)
        if len(self._taken):
            at = np.minimum(np.searchsorted(self._taken, pairs), len(self._taken) - 1)
            first = first[self._taken[at] != pairs]
        return clicks[:, np.sort(first)]

    def _batch(
        self,
        users: Positions,
        items: Positions,
        times: NDArray[np.int64],
        positions: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> pa.RecordBatch:
        times = times * 1_000_000
        fit = self._truth.fit(self._truth.taste(users, times), items)
        weights = 1 + np.searchsorted(WEIGHT_EDGES, fit + rng.standard_normal(len(fit)))
        columns = [
            self._truth.user_ids.take(pa.array(users)),
            self._truth.item_ids.take(pa.array(items)),
            pa.array(weights.astype(np.float32)),
            pa.array(times.view("datetime64[us]")),
            pa.array(positions.astype(np.int8)),
        ]
        return pa.record_batch(columns, schema=EVENT_ARROW_SCHEMA)
