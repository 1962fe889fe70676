"""Text and bare numbers -> numbers and instants, cell by cell: one bad cell spoils no other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING_WORDS = ("", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nat", "\\n")
"""Text that stands for a missing number or date, in any case. Categories have no such words: "NA" is
a country."""

FIRST_MICROSECOND = -62_135_596_800_000_000
"""Start of the year 1, in microseconds from 1970."""
LAST_MICROSECOND = 253_402_300_799_999_999
"""End of the year 9999."""
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_DECIMAL = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NUMBER = rf"(?i)^[+-]?({_DECIMAL}|inf|infinity|nan(\([a-z0-9_]*\))?)$"
_INTEGER = r"^-?[0-9]{1,18}$"
_DATE = r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})"
_TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
)
_ZONE = r"(?P<zone>[zZ]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
_INSTANT = rf"^{_DATE}(?:[T ]{_TIME} ?{_ZONE})?$"


def parse_numbers(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Numbers written as text (n,) -> float64 (n,), and a mask (n,) of the cells that are not numbers.

    Null, blank and `MISSING_WORDS` are missing: null and not in the mask. Infinities are kept.
    """
    cells = pc.utf8_trim_whitespace(text)
    try:
        values = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells).cast(pa.float64())
        bad = np.zeros(len(text), bool)
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(cells, _NUMBER)
        values = pc.if_else(fits, cells, pa.scalar(None, pa.string())).cast(pa.float64())
        bad = mask(pc.invert(pc.or_(fits, _is_missing(cells))))
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values), bad


def parse_integers(text: pa.Array, wanted: np.ndarray) -> pa.Array:
    """The `wanted` (n,) cells, each an integer by `are_integers`, as int64; the others null."""
    cells = pc.utf8_trim_whitespace(text)
    return pc.if_else(pa.array(wanted), cells, pa.scalar(None, pa.string())).cast(pa.int64())


def parse_booleans(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Text (n,) -> bool (n,), and a mask (n,) of the cells that are neither true, false nor missing."""
    cells = pc.utf8_lower(pc.utf8_trim_whitespace(text))
    fits = pc.is_in(cells, value_set=pa.array(["true", "false"]))
    values = pc.if_else(fits, pc.equal(cells, "true"), pa.scalar(None, pa.bool_()))
    return values, mask(pc.invert(pc.or_(fits, _is_missing(cells))))


def are_integers(text: pa.Array) -> np.ndarray:
    """Mask (n,) of the cells that are integers of at most 18 digits: int64 holds each exactly."""
    return mask(pc.match_substring_regex(pc.utf8_trim_whitespace(text), _INTEGER))


def parse_timestamps(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Text (n,) -> timestamp[us] in UTC (n,), and a mask (n,) of the cells that are no date.

    ISO 8601 dates with or without time and zone (also with slashes or a space; no zone means UTC),
    and numbers as `read_epochs` takes them. `MISSING_WORDS` are missing.
    """
    encoded = text.dictionary_encode()  # dates repeat: each is parsed once
    cells = pc.utf8_trim_whitespace(encoded.dictionary)
    parts = pc.extract_regex(cells, _INSTANT)
    iso = mask(parts.is_valid())
    values, bad = np.zeros(len(cells), np.int64), ~iso
    if iso.any():
        found = parts.filter(pa.array(iso))
        values[iso], bad[iso] = _instants({f.name: found.field(f.name) for f in found.type})
    rest = ~iso
    numbers, not_numbers = parse_numbers(cells.filter(pa.array(rest)))
    epochs, not_epochs = read_epochs(numbers)
    values[rest] = epochs.cast(pa.int64()).fill_null(0).to_numpy()
    bad[rest] = not_numbers | not_epochs
    missing = np.zeros(len(cells), bool)
    missing[rest] = mask(numbers.is_null()) & ~not_numbers
    distinct = pa.array(values, pa.timestamp("us"), mask=bad | missing)
    return distinct.take(encoded.indices), mask(pa.array(bad).take(encoded.indices))


def read_epochs(numbers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Numbers (n,) -> timestamp[us] (n,), and a mask (n,) of the cells that are no instant.

    A number is Unix time in seconds, milliseconds, microseconds or nanoseconds, whichever puts it
    between 1973 and 5138; an eight-digit one that is a date is one (20130107). Smaller numbers are
    refused: a year (1995) would otherwise become half an hour after 1970 began.
    """
    missing = mask(numbers.is_null())
    stored = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    finite = np.isfinite(stored)
    stored = np.where(finite, stored, 0)
    size = np.abs(stored.astype(np.float64))
    values = np.zeros(len(stored), np.int64)
    bad = ~finite | (size < 1e8) | (size >= 9.2e18)
    for low, high, unit in ((1e8, 1e11, "s"), (1e11, 1e14, "ms"), (1e14, 1e17, "us"), (1e17, 9.2e18, "ns")):
        here = (size >= low) & (size < high)
        scale = PER_SECOND["us"] / PER_SECOND[unit]
        if stored.dtype == np.int64:
            scaled = stored[here] * int(scale) if scale >= 1 else stored[here] // int(1 / scale)
        else:
            scaled = np.round(stored[here] * scale).astype(np.int64)
        values[here] = scaled
    compact = (stored >= 10_000_101) & (stored <= 99_991_231) & (stored == np.floor(stored))
    days = np.where(compact, stored, 0).astype(np.int64)
    dates, invalid = _days(days // 10_000, days // 100 % 100, days % 100)
    compact &= ~invalid
    values[compact], bad[compact] = dates[compact] * 86_400_000_000, False
    bad &= ~missing
    return pa.array(values, pa.timestamp("us"), mask=bad | missing), bad


def read_instants(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Dates or timestamps of any unit and zone (n,) -> timestamp[us] in UTC (n,), and a mask (n,).

    The mask holds the cells outside the years 1 to 9999, which no calendar here can show.
    """
    if pa.types.is_date32(array.type):
        array = array.cast(pa.timestamp("s"))
    elif pa.types.is_date64(array.type):
        array = array.cast(pa.timestamp("ms"))
    per_second = PER_SECOND[array.type.unit]
    missing = mask(array.is_null())
    raw = array.cast(pa.int64()).fill_null(0).to_numpy()
    low = FIRST_MICROSECOND // PER_SECOND["us"] * per_second
    high = (LAST_MICROSECOND // PER_SECOND["us"] + 1) * per_second
    bad = (raw < max(low, -(2**63))) | (raw >= min(high, 2**63 - 1))
    scale = PER_SECOND["us"] / per_second
    kept = np.where(bad, 0, raw)
    values = kept * int(scale) if scale >= 1 else kept // int(1 / scale)
    return pa.array(values, pa.timestamp("us"), mask=bad | missing), bad


def mask(flags: pa.Array) -> np.ndarray:
    """Arrow booleans (n,) -> NumPy bool (n,); null is False."""
    return np.asarray(flags.fill_null(False).to_numpy(zero_copy_only=False), bool)


def _is_missing(cells: pa.Array) -> pa.Array:
    words = pa.array([*MISSING_WORDS, None], pa.string())
    return pc.is_in(pc.utf8_lower(cells), value_set=words)


def _instants(parts: dict[str, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    def number(name: str, text: pa.Array | None = None) -> np.ndarray:
        cells = parts[name] if text is None else text
        return pc.if_else(pc.equal(cells, ""), "0", cells).cast(pa.int64()).to_numpy()

    days, bad = _days(number("year"), number("month"), number("day"))
    hour, minute, second = number("hour"), number("minute"), number("second")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, "0"), 0, 6)
    zone = pc.replace_substring_regex(parts["zone"], "(?i)z|utc|:", "")
    sign = np.where(mask(pc.starts_with(zone, "-")), -1, 1)
    ahead = number("zone", pc.utf8_rpad(pc.utf8_ltrim(zone, "+-"), 4, "0"))
    offset = sign * (ahead // 100 * 60 + ahead % 100)
    bad |= (hour > 23) | (minute > 59) | (second > 59) | (ahead // 100 > 23) | (ahead % 100 > 59)
    seconds = days * 86_400 + hour * 3_600 + (minute - offset) * 60 + second
    values = seconds * 1_000_000 + number("fraction", fraction)
    bad |= (values < FIRST_MICROSECOND) | (values > LAST_MICROSECOND)
    return np.where(bad, 0, values), bad


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days from 1970-01-01, and a mask of the dates that no calendar has."""
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    bad = (year < 1) | (year > 9999) | (month < 1) | (month > 12) | (day < 1) | (day > following - first)
    return first + day - 1, bad
