"""What is expected of a file of events, measured on every row: the list that `validate_interactions` runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamrec.catalog.expectations import Plan
from streamrec.interactions.file import positions
from streamrec.interactions.ingest import IngestedInteractions
from streamrec.interactions.settings import InteractionsValidationConfig

GRACE = timedelta(days=1)
"""Events this far ahead count as present: times written without a zone may be 14 hours early."""
WINDOW_SECONDS = 3_600
MANY_USERS = 100
"""Among fewer users one may well have a large share of the events."""


def plan_checks(
    events: pa.Table,
    item_ids: pa.Array,
    config: InteractionsValidationConfig,
    now: datetime,
    ingested: IngestedInteractions | None = None,
) -> Plan:
    """List what is expected of the canonical columns `user`, `item`, `weight`, `time`.

    Args:
        events: The columns of the file (see `interactions.file`).
        item_ids: (I,) ids of the catalogue.
        config: What is expected.
        now: With a time zone; what comes later is in the future.
        ingested: How the file was read; None leaves out what is said of left-out rows.
    """
    plan = Plan()
    plan.measures["row_count"] = len(events)
    settings = {"column": "row_count", "min_value": config.min_rows, "max_value": None}
    expected, observed = f"{config.min_rows:,} or more events", f"{len(events):,} events"
    kind = "ExpectColumnMaxToBeBetween"
    plan.expect("row_count", None, "measures", kind, settings, expected, observed)
    users, codes = _encode(events["user"])
    items = positions(events["item"], item_ids)
    seconds = events["time"].cast(pa.int64()).fill_null(0).to_numpy() // 1_000_000
    timed = events["time"].null_count == 0
    _expect_distinct(plan, codes, items, events["time"], config)
    _expect_present(plan, "user", codes < 0)
    if len(users):
        _expect_people(plan, users, codes, seconds if timed else None, config)
    _expect_present(plan, "item", _missing(events["item"]))
    _expect_known(plan, events["item"], items, config, ingested)
    weights = events["weight"].fill_null(np.nan).to_numpy()
    bad = int((~np.isfinite(weights)).sum())
    observed = f"{bad:,} missing, NaN or infinite" if bad else "all finite"
    plan.measure("finite", "weight", bad, 0, "every weight finite", observed)
    if timed and len(events):
        _expect_past(plan, seconds, config, now)
    return plan


def busiest_hours(users: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) events of the same user within the 60 minutes that begin with each event, itself included.

    The result is by user, then time.
    """
    start = seconds - seconds.min()
    line = np.sort(users * (start.max() + WINDOW_SECONDS + 1) + start)  # a user after the other
    return np.searchsorted(line, line + WINDOW_SECONDS, side="left") - np.arange(len(line))


def _encode(ids: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Distinct ids, and (n,) the position of each event's, -1 where it is missing."""
    if not pa.types.is_dictionary(ids.type):
        ids = ids.dictionary_encode()
    encoded = ids.unify_dictionaries().combine_chunks()
    return encoded.dictionary, encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return column.is_null().to_numpy()


def _expect_present(plan: Plan, name: str, missing: NDArray[np.bool_]) -> None:
    count = int(missing.sum())
    observed = f"{count:,} missing" if count else "one in every row"
    plan.measure("present", name, count, 0, f"every row with its {name}", observed)


def _expect_distinct(
    plan: Plan,
    codes: NDArray[np.int64],
    items: NDArray[np.int64],
    times: pa.ChunkedArray,
    config: InteractionsValidationConfig,
) -> None:
    instants = times.cast(pa.int64()).fill_null(0).to_numpy()
    order = np.lexsort((instants, items, codes))
    again = np.ones(max(len(order) - 1, 0), bool)
    for column in (codes, items, instants):
        again &= np.diff(column[order]) == 0
    # An item that the catalogue lacks has no position: nothing tells it from another one.
    again &= items[order][1:] >= 0
    share, limit = float(again.sum()) / max(len(codes), 1), config.max_duplicates
    observed = f"{int(again.sum()):,} repeated ({_percent(share)})" if share else "all different"
    expected = f"at most {_percent(limit)} of one user, item and time"
    plan.measure("duplicates", None, share, limit, expected, observed, "warning")


def _expect_people(
    plan: Plan,
    users: pa.Array,
    codes: NDArray[np.int64],
    seconds: NDArray[np.int64] | None,
    config: InteractionsValidationConfig,
) -> None:
    known = codes >= 0
    counts = np.bincount(codes[known], minlength=len(users))
    if len(users) >= MANY_USERS:
        most, total = int(counts.argmax()), int(counts.sum())
        share, limit = counts[most] / total, config.max_user_share
        expected = f"at most {_percent(limit)} of all events with one user"
        observed = f"{_percent(share)}, with {users[most].as_py()!r} ({counts[most]:,} events)"
        plan.measure("user_share", "user", float(share), limit, expected, observed, "warning")
    if seconds is None:
        return
    owners, hourly = np.sort(codes[known]), busiest_hours(codes[known], seconds[known])
    busiest, many = int(hourly.argmax()), config.max_user_hour
    expected = f"at most {many:,} events of a user within 60 minutes"
    observed = f"{hourly[busiest]:,}, by {users[int(owners[busiest])].as_py()!r}"
    machines = np.unique(owners[hourly > many])
    if len(machines) > 1:
        observed += (
            f"; {len(machines):,} users with more, who made {_percent(counts[machines].sum() / known.sum())}"
        )
    plan.measure("bots", "user", float(hourly[busiest]), many, expected, observed, "warning")


def _expect_known(
    plan: Plan,
    stored: pa.ChunkedArray,
    items: NDArray[np.int64],
    config: InteractionsValidationConfig,
    ingested: IngestedInteractions | None,
) -> None:
    unknown = np.flatnonzero((items < 0) & ~_missing(stored))
    observed = "all known"
    if len(unknown):
        observed = f"{len(unknown):,} events with others, as {stored[int(unknown[0])].as_py()!r}"
    plan.measure("known", "item", len(unknown), 0, "only items of the catalogue", observed)
    if ingested is None:
        return
    left, limit = ingested.reasons.get("unknown_item", 0), config.max_unknown_items
    share = left / max(ingested.rows_read, 1)
    expected = f"at most {_percent(limit)} of the rows read with items outside the catalogue"
    observed = f"{left:,} of {ingested.rows_read:,} ({_percent(share)}), left out"
    plan.measure("left_out", "item", share, limit, expected, observed, "warning")


def _expect_past(
    plan: Plan, seconds: NDArray[np.int64], config: InteractionsValidationConfig, now: datetime
) -> None:
    late = seconds > (now + GRACE).timestamp()
    share, limit = float(late.mean()), config.max_future
    last = f"the last at {np.datetime64(int(seconds.max()), 's')}"
    observed = f"{int(late.sum()):,} ({_percent(share)}), {last}" if share else f"none, {last}"
    expected = f"at most {_percent(limit)} dated after {now:%Y-%m-%d %H:%M} UTC"
    plan.measure("future", "time", share, limit, expected, observed)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
