"""How the report writes counts, numbers, shares, seconds, sizes and cells."""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

from markupsafe import Markup, escape

LONGEST_CELL = 80
"""Characters of a cell; longer text is cut."""
ABSENT = "–"
"""What is not there."""


def count(value: int) -> str:
    """Digits grouped by thousands."""
    return f"{value:,}"


def number(value: float | None, digits: int = 3) -> str:
    """`digits` significant digits, thousands grouped, no exponent between 0.0001 and a billion."""
    if value is None or math.isnan(value):
        return ABSENT
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}".replace("-", "−")
    magnitude = math.floor(math.log10(abs(value)))
    if not -5 < magnitude < 9:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    text = f"{value:,.{max(digits - 1 - magnitude, 0)}f}"
    if "." in text and value == int(value):
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return ABSENT if share is None else f"{100 * share:.{digits}f}%".replace("-", "−")


def seconds(value: float) -> str:
    """Seconds; from ten minutes on minutes, from two hours on hours."""
    if value < 600:
        return f"{value:.{1 if value < 100 else 0}f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(value: float) -> str:
    """Bytes in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{number(float(value))} {unit}"
        value /= 1000
    raise AssertionError


def breakable(name: str) -> Markup:
    """A column's name that a narrow heading may break after an underscore."""
    return Markup(escape(name).replace("_", Markup("_<wbr>")))


def cell(value: Any) -> str:
    """A cell of the item table on one line."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if value.time() != value.min.time() else f"{value:%Y-%m-%d}"
    if isinstance(value, date):
        return value.isoformat()
    text = ", ".join(map(str, value)) or "(none)" if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
