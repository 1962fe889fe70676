"""What a column's name suggests: words that people use for keys, dates and flags."""

from __future__ import annotations

import re

KEYS = ("id", "uuid", "guid", "key", "sku", "asin", "isbn", "ean", "gtin", "slug")
CODES = ("id", "code", "type", "class", "zip", "postcode", "group", "cluster", "status")
TIMES = (
    "published",
    "publication",
    "release",
    "released",
    "created",
    "date",
    "time",
    "datetime",
    "timestamp",
)
TIMES_TOO = ("added", "updated", "modified", "at", "on", "ts", "day")


def words(name: str) -> list[str]:
    """`itemId`, `item_id` and `Item ID` -> item, id."""
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower())


def key_rank(name: str) -> int:
    """How much a name sounds like the item's own key: 0 `item_id`, 1 `id`, ... 4 not at all."""
    parts = words(name)
    if parts in (["item", "id"], ["itemid"]):
        return 0
    if parts == ["id"]:
        return 1
    if parts and parts[-1] == "id":
        return 2
    return 3 if parts and (parts[-1] in KEYS or parts == ["item"]) else 4


def is_code(name: str) -> bool:
    """Whether integers under this name are likely codes of something: `category_id`, `is_new`."""
    parts = words(name)
    return bool(parts) and (parts[-1] in CODES or parts[0] in ("is", "has"))


def time_rank(name: str) -> int | None:
    """How much a name sounds like the item's own date, 0 the most; None: not at all."""
    parts = words(name)
    ranks = [rank for rank, word in enumerate((*TIMES, *TIMES_TOO)) if word in parts]
    return min(ranks, default=None)
