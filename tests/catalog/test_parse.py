from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog.parse import (
    parse_booleans,
    parse_integers,
    parse_numbers,
    parse_timestamps,
    read_epochs,
    read_instants,
)

# Between the first and last instants of the calendar, whatever the zone they are written in.
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
CELLS = st.sampled_from(
    [
        "1",
        " 2.5 ",
        "+3",
        "-.5",
        "1e400",
        "inf",
        "nan",
        "-NaN",
        "nan(1)",
        "NA",
        "\\N",
        "",
        "x",
        "0x1F",
        "1_0",
        "1,5",
    ]
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("1", 1), (" 2.5 ", 2.5), ("+3", 3), ("-.5", -0.5), ("4.", 4), ("1E3", 1000), ("007", 7)],
        *[("1e400", np.inf), ("-Infinity", -np.inf), ("12345678901234567890", 1.2345678901234567e19)],
        *[
            (word, None)
            for word in ("", "  ", "NA", "n/a", "#N/A", "NaN", "-nan", "NULL", "None", "NaT", "\\N")
        ],
        *[(word, "bad") for word in ("x", "0x1F", "1_0", "1,5", "1 000", "٣", "--1", "1e", "true", "-")],
    ],
)
def test_a_number_is_read_alone_as_among_others(text: str, number: float | str | None) -> None:
    for cells in ([text], [text, "unreadable"], ["1", text, None, "2"]):
        values, bad = parse_numbers(pa.array(cells, pa.string()))
        at = cells.index(text)
        assert bad[at] == (number == "bad")
        assert values[at].as_py() == (None if number == "bad" else number)


@given(st.lists(CELLS | st.none() | st.floats().map(repr), max_size=20), st.data())
def test_numbers_do_not_depend_on_their_neighbours(cells: list[str | None], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(cells)))
    whole, bad = parse_numbers(pa.array(cells, pa.string()))
    parts = [parse_numbers(pa.array(part, pa.string())) for part in (cells[:cut], cells[cut:])]
    assert whole.to_pylist() == [value for values, _ in parts for value in values.to_pylist()]
    assert bad.tolist() == [flag for _, flags in parts for flag in flags.tolist()]


def test_integers_and_booleans_keep_their_kind() -> None:
    large = 10**18 - 1
    wanted = np.array([True, False, True])
    assert parse_integers(pa.array([f" {large} ", "x", "-3"]), wanted).to_pylist() == [large, None, -3]
    values, bad = parse_booleans(pa.array(["TRUE", " false", "yes", None, "", "1"]))
    assert values.to_pylist() == [True, False, None, None, None, None]
    assert bad.tolist() == [False, False, True, False, False, True]


@given(
    st.lists(INSTANTS, min_size=1, max_size=5),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from("T "),
    st.booleans(),
)
def test_iso_timestamps_become_utc(
    instants: list[datetime], minutes: int, separator: str, colon: bool
) -> None:
    zone = timezone(timedelta(minutes=minutes))
    texts = [instant.replace(tzinfo=UTC).astimezone(zone).isoformat(separator) for instant in instants]
    texts = texts if colon else [text[:-3] + text[-2:] for text in texts]
    values, bad = parse_timestamps(pa.array(texts))
    assert not bad.any()
    assert values.to_pylist() == instants


@given(st.integers(0, 10_000), st.integers(0, 13), st.integers(0, 32))
def test_only_dates_of_the_calendar_are_dates(year: int, month: int, day: int) -> None:
    try:
        expected = datetime(year, month, day)
    except ValueError:
        expected = None
    values, bad = parse_timestamps(pa.array([f"{year:04}-{month:02}-{day:02}", f"{year:04}/{month}/{day}"]))
    assert values.to_pylist() == [expected, expected]
    assert bad.tolist() == [expected is None] * 2


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2013-01-07 10:11:12.123456789Z", datetime(2013, 1, 7, 10, 11, 12, 123456)),
        ("2013-01-07 10:11 UTC", datetime(2013, 1, 7, 10, 11)),
        ("20130107", datetime(2013, 1, 7)),
        ("1357553472", datetime(2013, 1, 7, 10, 11, 12)),
        ("1357553472.5", datetime(2013, 1, 7, 10, 11, 12, 500000)),
        ("1357553472000", datetime(2013, 1, 7, 10, 11, 12)),
        ("n/a", None),
        ("", None),
        *[
            (word, "bad")
            for word in ("1995", "20130230", "7 Jan 2013", "01/07/2013", "2013-01-07T25:00", "inf")
        ],
    ],
)
def test_other_spellings_of_an_instant(text: str, instant: datetime | str | None) -> None:
    values, bad = parse_timestamps(pa.array([text, "2000-01-01", text, None]))
    assert values.to_pylist()[0] == (None if instant == "bad" else instant)
    assert bad.tolist() == [instant == "bad", False, instant == "bad", False]


@pytest.mark.parametrize(("unit", "power"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_unix_time_is_read_in_the_unit_of_its_size(unit: str, power: int) -> None:
    seconds = 1_357_553_472
    values, bad = read_epochs(pa.array([seconds * power, -seconds * power, None, 1995, 5], pa.int64()))
    start, since = datetime(1970, 1, 1), timedelta(seconds=seconds)
    assert values.to_pylist() == [start + since, start - since, None, None, None]
    assert bad.tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_typed_timestamps_become_utc_microseconds(unit: str, zone: str | None) -> None:
    day = datetime(2013, 7, 7, 10)
    values, bad = read_instants(pa.array([day, None], pa.timestamp(unit, zone)))
    assert values.type == pa.timestamp("us")
    assert values.to_pylist() == [day, None]  # a naive Python datetime is UTC to Arrow
    assert not bad.any()


def test_instants_outside_the_calendar_are_refused() -> None:
    values, bad = read_instants(
        pa.array([10**12, -(10**12), 2**63 - 1, 0], pa.int64()).cast(pa.timestamp("s"))
    )
    assert bad.tolist() == [True, True, True, False]
    assert values.to_pylist() == [None, None, None, datetime(1970, 1, 1)]
    assert read_instants(pa.array([date(2013, 1, 7)]))[0].to_pylist() == [datetime(2013, 1, 7)]
    assert read_instants(pa.array([date(9999, 12, 31)], pa.date64()))[0].to_pylist() == [
        datetime(9999, 12, 31)
    ]
