"""What a request costs: short ones are answered on the event loop, as a thread takes longer to wake up."""

from __future__ import annotations

from streamrec.retrieval.index import ItemIndex

SHORT = 2_000_000
"""Products of numbers in a request that is answered at once: about half a millisecond, an exact search among
100,000 vectors of 16 numbers."""
ITEM, FEATURES = 1_500, 15_000
"""Products that take as long as writing an item of an answer, without and with its features."""


def search_cost(index: ItemIndex, exact: bool) -> int:
    """Products of a search for one vector; `exact` where every vector is compared."""
    compared = index.rows
    if index.nprobe is not None and not exact:
        lists = index.lists or 1
        compared = lists + compared * index.nprobe // lists
    return compared * index.dimension


def answer_cost(k: int, features: bool) -> int:
    """Products that writing `k` items would be."""
    return k * (FEATURES if features else ITEM)
