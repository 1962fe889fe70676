"""`validate_interactions`: check a file of events against the catalogue, the settings and the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from streamrec.catalog.checks import ValidationResult
from streamrec.catalog.profile import Profile
from streamrec.catalog.suite import run_suite
from streamrec.catalog.validation_page import render
from streamrec.interactions.expectations import plan_checks
from streamrec.interactions.file import read_events
from streamrec.interactions.ingest import IngestedInteractions
from streamrec.interactions.settings import InteractionsValidationConfig


def validate_interactions(
    path: Path,
    item_ids: pa.Array,
    config: InteractionsValidationConfig,
    folder: Path,
    ingested: IngestedInteractions | None = None,
    now: datetime | None = None,
) -> ValidationResult:
    """Check that events refer to items of the catalogue, happened, are people's, and differ.

    Writes the outcome into `folder` (see `catalog.suite.run_suite`).

    Args:
        path: Canonical file of events (see `interactions.file`).
        item_ids: (I,) ids of the catalogue.
        config: What is expected.
        folder: Where the outcome is written.
        ingested: How the file was read, to judge the rows that were left out; None for other files.
        now: What is later is in the future, with a time zone; None: the clock's time.

    Raises:
        InteractionsError: not a file of events. A failed check is no error here (see
            `ValidationResult.raise_for_critical`).
    """
    start = time.perf_counter()
    events = read_events(path)
    now = datetime.now(UTC) if now is None else now.astimezone(UTC)
    plan = plan_checks(events, item_ids, config, now, ingested)
    about = f"Events checked against a catalogue of {len(item_ids):,} items."
    nothing = Profile(rows=len(events), columns={})
    return run_suite(
        plan,
        path,
        len(events),
        folder,
        lambda result: render(result, nothing, None, about),
        start=start,
    )
