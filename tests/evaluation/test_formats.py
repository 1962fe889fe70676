"""How numbers are written."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.evaluation import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0"),
        (0.0, "0"),
        (1234567, "1,234,567"),
        (1234567.0, "1,234,567"),
        (1234.56, "1,235"),
        (12.345, "12.3"),
        (2.0, "2"),
        (0.1, "0.100"),
        (0.012345, "0.0123"),
        (-0.5, "−0.500"),
        (1e-9, "1.00e−09"),
        (3.2e12, "3.20e+12"),
        (math.inf, "inf"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert formats.number(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_written_number_is_within_half_a_percent(value: float) -> None:
    read = float(formats.number(value).replace(",", "").replace("−", "-"))
    assert read == pytest.approx(value, rel=0.00501)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (2_123_456, "2.12 MB"),
        (5_300_000_000_000, "5,300 GB"),
    ],
)
def test_sizes(value: int, text: str) -> None:
    assert formats.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (99.9, "99.9 s"), (125.4, "125 s"), (630, "10.5 min"), (9000, "2.5 h")],
)
def test_seconds(value: float, text: str) -> None:
    assert formats.seconds(value) == text


def test_a_heading_breaks_at_underscores_and_nowhere_else() -> None:
    assert formats.breakable("a_b<c>_") == "a_<wbr>b&lt;c&gt;_<wbr>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (["b", "a"], "b, a"),
        ([], "(none)"),
        ("two\n  lines", "two lines"),
        ("x" * 81, "x" * 79 + "…"),
        ("x" * 80, "x" * 80),
        (datetime(2026, 3, 4), "2026-03-04"),
        (datetime(2026, 3, 4, 5, 6), "2026-03-04 05:06"),
        (date(2026, 3, 4), "2026-03-04"),
    ],
)
def test_cells(value: Any, text: str) -> None:
    assert formats.cell(value) == text
