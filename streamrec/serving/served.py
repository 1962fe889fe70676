"""`Served`: a bundle and what the service derives from it once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from streamrec.retrieval.arrow import decoded, to_arrow
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.ids import Id
from streamrec.retrieval.recommend import Recommendations
from streamrec.serving.costs import search_cost
from streamrec.serving.encoders import Encoders
from streamrec.serving.lookup import IdLookup
from streamrec.serving.neighbour_lists import NeighbourLists
from streamrec.serving.problems import Problem
from streamrec.serving.remembered import Remembered


class Served:
    """Everything that one request needs, of one version: a request takes it once and uses only that."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.version = bundle.manifest.version
        self.items = IdLookup(bundle.searcher.items.ids.column)
        found = bundle.recommendations
        self.users = None if found is None else IdLookup(found.towers.users.column)
        self.encoders = Encoders(bundle)
        self.neighbours = NeighbourLists(bundle.searcher)
        self.remembered = Remembered()
        self.search_cost = search_cost(bundle.searcher.index, exact=False)

    @property
    def recommendations(self) -> Recommendations:
        """What the towers recommend.

        Raises:
            Problem: the bundle has no towers.
        """
        if self.bundle.recommendations is None:
            raise Problem(
                404,
                f"bundle {self.version} has items alone and recommends to no user",
                "train towers on its items with `streamrec retrieve`",
                code="no_towers",
            )
        return self.bundle.recommendations

    def item(self, item_id: Id) -> int:
        """Row of an item.

        Raises:
            Problem: no such item.
        """
        row = self.items.position(item_id)
        if row < 0:
            raise Problem(404, f"no item {shown(item_id)}")
        return row

    def user(self, user_id: Id) -> int:
        """Row of a user.

        Raises:
            Problem: no such user, or no users at all.
        """
        _ = self.recommendations
        row = -1 if self.users is None else self.users.position(user_id)
        if row < 0:
            raise Problem(
                404, f"no user {shown(user_id)}", "recommend to somebody unknown by 'history', the items seen"
            )
        return row

    def features(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Published features of the items at rows (n,), ready for JSON."""
        return list(decoded(self._features.take(to_arrow(rows))).to_pylist())

    @cached_property
    def _features(self) -> pa.Table:
        table = self.bundle.searcher.items.table.drop_columns(self.bundle.manifest.features.item_id)
        for index, field in enumerate(table.schema):
            # Python's datetime has no nanoseconds; Arrow would import pandas for its own.
            if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
                cast = table.column(index).cast(pa.timestamp("us", field.type.tz), safe=False)
                table = table.set_column(index, field.name, cast)
        return table

    @cached_property
    def description(self) -> bytes:
        """The answer that describes the bundle: its manifest without files and settings of the run."""
        manifest = self.bundle.manifest.model_dump(mode="json", by_alias=True, exclude={"files", "config"})
        content = {name: value for name, value in manifest.items() if value is not None}
        return orjson.dumps({"bundle": self.version, "manifest": content}, default=str)


def shown(value: Id) -> str:
    """An id as errors show it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
