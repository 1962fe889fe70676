"""Items for known users, for histories and for features of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamrec.retrieval.ids import Id
from streamrec.retrieval.lists import Lists
from streamrec.serving import answer_schemas as answers
from streamrec.serving.answers import answer, check_size, ranked
from streamrec.serving.costs import SHORT, answer_cost, search_cost
from streamrec.serving.endpoint import Answer, Call, Example, Operation
from streamrec.serving.problems import Problem
from streamrec.serving.requests import RecommendBody, RecommendQuery
from streamrec.serving.served import Served
from streamrec.serving.settings import LimitsConfig


@dataclass(frozen=True)
class _Somebody:
    """A query whose ids were looked up."""

    query: RecommendQuery
    user: int | None
    """Row of a known user."""
    seen: np.ndarray
    """Rows of the items seen, none twice."""
    unknown: list[Id]
    """Items of the history that the bundle does not have."""

    @classmethod
    def of(cls, query: RecommendQuery, served: Served) -> _Somebody:
        """Look up the ids.

        Raises:
            Problem: no such user; a history of unknown items alone.
        """
        if query.user is not None:
            row = served.user(query.user)
            return cls(query, row, served.recommendations.towers.histories.row(row).astype(np.int64), [])
        history = query.history or []
        rows = served.items.positions(history)
        if len(history) and not (rows >= 0).any() and query.user_features is None:
            raise Problem(404, f"history: the bundle has none of its {len(history)} items")
        unknown = [item_id for item_id, row in zip(history, rows.tolist(), strict=True) if row < 0]
        known = dict.fromkeys(rows[rows >= 0].tolist())
        return cls(query, None, np.fromiter(known, np.int64), unknown)


async def recommend(call: Call) -> Answer:
    """The best items for one user or for many."""
    body = await call.body(RecommendBody)
    served, service = call.service.live.current, call.service
    recommendations, limits = served.recommendations, service.settings.limits
    queries: Sequence[RecommendQuery] = [body] if body.queries is None else body.queries
    check_size(limits, body.k, len(queries))
    _check_histories(queries, limits)

    def find() -> Answer:
        if body.queries is None:
            return answer(served, _results(served, body, [_Somebody.of(body, served)])[0])
        found: list[_Somebody | Problem] = []
        for query in queries:
            try:
                found.append(_Somebody.of(query, served))
            except Problem as problem:
                found.append(problem)
        results = iter(_results(served, body, [one for one in found if isinstance(one, _Somebody)]))
        return answer(
            served,
            {
                "results": [
                    {"error": one.content()} if isinstance(one, Problem) else next(results) for one in found
                ]
            },
        )

    encoded = any(query.user is None for query in queries)
    searched = search_cost(recommendations.towers.item_index, exact=body.exclude_seen)
    cost = len(queries) * (searched + answer_cost(body.k, body.features))
    if body.where or encoded or cost > SHORT:
        return await service.pool.run(find, many=body.queries is not None)
    return find()


def _check_histories(queries: Sequence[RecommendQuery], limits: LimitsConfig) -> None:
    for query in queries:
        if query.history is not None and len(query.history) > limits.max_history:
            raise Problem(
                422,
                f"history: found {len(query.history)} items, expected at most {limits.max_history}",
                "send those seen last",
            )


def _results(served: Served, body: RecommendBody, people: Sequence[_Somebody]) -> list[dict[str, Any]]:
    recommendations = served.recommendations
    rows = recommendations.items.mask(body.where) if body.where else None
    without = Lists.of([one.seen for one in people]) if body.exclude_seen else None
    found = recommendations.towers.items_for(_vectors(served, people), body.k, rows, without)
    results = []
    for one, scores, positions in zip(people, *found, strict=True):
        result: dict[str, Any] = {"items": ranked(served, scores, positions, body.features)}
        results.append(result | {"unknown_items": one.unknown} if one.unknown else result)
    return results


def _vectors(served: Served, people: Sequence[_Somebody]) -> np.ndarray:
    """(u, k) float32, of known users from their index, of others from the model."""
    towers = served.recommendations.towers
    vectors = np.empty((len(people), towers.facts.dimension), dtype=np.float32)
    known = [place for place, one in enumerate(people) if one.user is not None]
    vectors[known] = towers.user_index.vectors(np.array([people[place].user for place in known], np.int64))
    others = [place for place, one in enumerate(people) if one.user is None]
    described = [place for place in others if people[place].query.user_features is not None]
    plain = [place for place in others if people[place].query.user_features is None]
    if plain:
        vectors[plain] = served.encoders.users([people[place].seen for place in plain])
    if described:
        features = [people[place].query.user_features or {} for place in described]
        vectors[described] = served.encoders.users([people[place].seen for place in described], features)
    return vectors


def _people(served: Served) -> Mapping[str, Example]:
    if served.users is None:
        return {}
    user = served.users.id(0)
    return {
        "user": Example(body={"user": user, "k": 3, "exclude_seen": True}),
        "users": Example(body={"queries": [{"user": user}, {"user": "nobody"}], "k": 2}),
    }


OPERATIONS = (
    Operation(
        "POST",
        "/v1/recommend",
        recommend,
        answers.RECOMMENDED,
        RecommendBody,
        errors=(404,),
        examples=_people,
    ),
)
