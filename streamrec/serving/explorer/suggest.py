"""Items whose id or title has a text in it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamrec.retrieval.items import ItemTable

MOST = 10
"""Suggestions at once."""


def title_column(items: ItemTable) -> str | None:
    """The first display column, which names items for people; None where the catalogue has none."""
    return items.schema.display[0] if items.schema.display else None


def suggest(items: ItemTable, text: str, most: int = MOST) -> list[dict[str, Any]]:
    """Ids and titles of at most `most` items: those that begin with the text first, then those that have it.

    Upper and lower case are one. Items come in their order in the bundle.
    """
    if not text:
        return []
    ids, title = items.table[items.schema.item_id], title_column(items)
    searched = [ids.cast(pa.string())]
    if title is not None:
        searched.append(items.table[title].cast(pa.string()))
    found: dict[int, None] = {}
    for match in (pc.starts_with, pc.match_substring):
        for column in searched:
            if len(found) < most:
                hits = pc.indices_nonzero(match(column, text, ignore_case=True))
                found |= dict.fromkeys(hits.slice(0, most).to_pylist())
    rows = pa.array(list(found)[:most], pa.int64())
    names = [None] * len(rows) if title is None else items.table[title].take(rows).to_pylist()
    return [
        {"id": item_id, "title": None if name is None else str(name)}
        for item_id, name in zip(ids.take(rows).to_pylist(), names, strict=True)
    ]
