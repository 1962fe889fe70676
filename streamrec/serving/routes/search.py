"""Search by vectors, or by the raw features of items that the bundle need not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from streamrec.retrieval.index import normalised
from streamrec.serving import answer_schemas as answers
from streamrec.serving.answers import answer, check_size, ranked_many
from streamrec.serving.costs import SHORT, answer_cost
from streamrec.serving.endpoint import Answer, Call, Example, Operation
from streamrec.serving.examples import some_filter
from streamrec.serving.problems import Problem
from streamrec.serving.requests import SearchBody, SearchQuery
from streamrec.serving.served import Served


async def search(call: Call) -> Answer:
    """The items closest to vectors or to raw items."""
    body = await call.body(SearchBody)
    served, service = call.service.live.current, call.service
    queries: Sequence[SearchQuery] = [body] if body.queries is None else body.queries
    check_size(service.settings.limits, body.k, len(queries))
    _check_dimensions(served, queries, batch=body.queries is not None)

    def find() -> Answer:
        vectors = _vectors(served, queries)
        found = served.bundle.searcher.nearest(vectors, body.k, body.where)
        results = ranked_many(served, *found, body.features)
        if body.queries is None:
            return answer(served, {"items": results[0]})
        return answer(served, {"results": [{"items": items} for items in results]})

    encoded = any(query.item is not None for query in queries)
    cost = len(queries) * (served.search_cost + answer_cost(body.k, body.features))
    if body.where or encoded or cost > SHORT:
        return await service.pool.run(find, many=body.queries is not None)
    return find()


def _check_dimensions(served: Served, queries: Sequence[SearchQuery], batch: bool) -> None:
    expected = served.bundle.manifest.dimension
    for number, query in enumerate(queries):
        if query.vector is not None and len(query.vector) != expected:
            place = f"queries.{number}.vector" if batch else "vector"
            raise Problem(
                422,
                f"{place}: found {len(query.vector)} numbers, expected {expected}",
                f"vectors of bundle {served.version} have {expected}; were they stored with an older one?",
            )


def _vectors(served: Served, queries: Sequence[SearchQuery]) -> np.ndarray:
    """(q, d) float32 rows of length 1."""
    vectors = np.empty((len(queries), served.bundle.manifest.dimension), dtype=np.float32)
    given = [number for number, query in enumerate(queries) if query.vector is not None]
    if given:
        plain = np.array([queries[number].vector for number in given], dtype=np.float64)
        # In float64 first: any finite number is a direction, also one beyond float32's range.
        largest = np.abs(plain).max(axis=1, keepdims=True)
        vectors[given] = normalised(np.divide(plain, largest, out=plain, where=largest > 0))
    raw = [number for number, query in enumerate(queries) if query.item is not None]
    if raw:
        vectors[raw] = normalised(served.encoders.items([queries[number].item or {} for number in raw]))
    return vectors


def _searches(served: Served) -> Mapping[str, Example]:
    index, rows = served.bundle.searcher.index, range(min(2, len(served.items)))
    vectors = [[round(float(entry), 4) for entry in index.vector(row)] for row in rows]
    found = {
        "vector": Example(body={"vector": vectors[0], "k": 3}),
        "vectors": Example(body={"queries": [{"vector": vector} for vector in vectors], "k": 2}),
    }
    filters = some_filter(served)
    if filters:
        found["filtered"] = Example(body={"vector": vectors[0], "k": 3, "where": filters, "features": True})
    return found


OPERATIONS = (Operation("POST", "/v1/search", search, answers.FOUND, SearchBody, examples=_searches),)
