"""An item, and its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from streamrec.serving import answer_schemas as answers
from streamrec.serving.answers import answer, check_size, listed, ranked_many
from streamrec.serving.costs import SHORT, answer_cost
from streamrec.serving.endpoint import Answer, Call, Example, Operation
from streamrec.serving.examples import as_text, some_filter
from streamrec.serving.problems import Problem
from streamrec.serving.requests import Id, NeighboursBody, NeighboursQuery
from streamrec.serving.served import Served, shown


async def item(call: Call) -> Answer:
    """Features and vector of an item."""
    served = call.service.live.current
    row = served.item(call.path["item_id"])
    found = {"id": served.items.id(row), "features": served.features(np.array([row]))[0]}
    return answer(served, found | {"vector": served.bundle.searcher.index.vector(row)})


async def neighbors(call: Call) -> Answer:
    """The items closest to one item."""
    asked = NeighboursQuery.parse(call.query)
    served, service = call.service.live.current, call.service
    check_size(service.settings.limits, asked.k)
    item_id = call.path["item_id"]
    known = None if asked.where else served.remembered.get((item_id, asked.k, asked.features))
    if known is not None:
        return Answer(known)
    row = served.item(item_id)

    near = None if asked.where else served.neighbours.of(row, asked.k)

    def find() -> Answer:
        if asked.where:
            (items,) = _near(served, np.array([row]), asked.k, asked.where, asked.features)
        else:
            found = near or served.bundle.searcher.nearest_to(row, asked.k)
            items = listed(served, *found, asked.features)
        return answer(served, {"id": served.items.id(row), "items": items})

    if asked.where:
        return await service.pool.run(find)
    cost = (0 if near else served.search_cost) + answer_cost(asked.k, asked.features)
    found = await service.pool.run(find) if cost > SHORT else find()
    served.remembered.keep((item_id, asked.k, asked.features), found.body)
    return found


async def neighbors_of_many(call: Call) -> Answer:
    """The items closest to each of many items."""
    body = await call.body(NeighboursBody)
    served, service = call.service.live.current, call.service
    check_size(service.settings.limits, body.k, len(body.ids))

    def find() -> Answer:
        rows = served.items.positions(body.ids)
        near = iter(_near(served, rows[rows >= 0], body.k, body.where or {}, body.features))
        results = [
            {"id": served.items.id(row), "items": next(near)} if row >= 0 else _missing(item_id)
            for item_id, row in zip(body.ids, rows.tolist(), strict=True)
        ]
        return answer(served, {"results": results})

    return await service.pool.run(find, many=True)


def _near(
    served: Served, rows: np.ndarray, k: int, where: Mapping[str, Any], features: bool
) -> list[list[dict[str, Any]]]:
    searcher = served.bundle.searcher
    found = searcher.nearest(searcher.index.vectors(rows), k, where or None, without=rows)
    return ranked_many(served, *found, features)


def _missing(item_id: Id) -> dict[str, Any]:
    return {"id": item_id, "error": Problem(404, f"no item {shown(item_id)}").content()}


def _an_item(served: Served) -> Mapping[str, Example]:
    return {"item": Example(path={"item_id": str(served.items.id(0))})}


def _nearest(served: Served) -> Mapping[str, Example]:
    path, filters = {"item_id": str(served.items.id(0))}, some_filter(served)
    found = {"three": Example(path, {"k": "3"})}
    if filters:
        column, value = next(iter(filters.items()))
        found["filtered"] = Example(
            path, {"k": "3", "where": f"{column}={as_text(value)}", "features": "true"}
        )
    return found


def _many(served: Served) -> Mapping[str, Example]:
    ids = [served.items.id(row) for row in range(min(2, len(served.items)))]
    return {"two": Example(body={"ids": ids, "k": 2}), "unknown": Example(body={"ids": ["no such id"]})}


ITEM_ID = {
    "name": "item_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
    "description": "Id of an item; the text of a number finds an integer id.",
}

OPERATIONS = (
    Operation(
        "GET",
        "/v1/items/{item_id}/neighbors",
        neighbors,
        answers.NEIGHBOURS,
        parameters=(
            ITEM_ID,
            {
                "name": "k",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "default": 10},
                "description": "Items wanted.",
            },
            {
                "name": "where",
                "in": "query",
                "schema": {"type": "array", "items": {"type": "string", "pattern": "^[^=]+="}},
                "description": "column=value; repeatable: any of the values of a column, all of the columns.",
            },
            {
                "name": "features",
                "in": "query",
                "schema": {"type": "boolean", "default": False},
                "description": "Give the published features of each item too.",
            },
        ),
        errors=(404,),
        examples=_nearest,
    ),
    Operation(
        "GET",
        "/v1/items/{item_id}",
        item,
        answers.ITEM,
        parameters=(ITEM_ID,),
        errors=(404,),
        examples=_an_item,
    ),
    Operation(
        "POST", "/v1/neighbors", neighbors_of_many, answers.MANY_NEIGHBOURS, NeighboursBody, examples=_many
    ),
)
