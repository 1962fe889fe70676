"""What requests may hold: bodies as strict types, and the parameters of a query."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamrec.serving.problems import Problem

MAX_TEXT = 1_024
"""Characters of an id, a value or a name."""
MAX_VALUES = 1_000
"""Values of one column of a filter, or labels of one item."""
MAX_PARAMETERS = 200
"""Parameters of a query."""
_ONLY_K = re.compile(rb"(?:k=([1-9]\d{0,8}))?")
"""The queries that most requests have: nothing, or `k` alone."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Id = Text | Integer
Value = Text | Integer | bool
Values = Annotated[list[Value], Field(min_length=1, max_length=MAX_VALUES, fail_fast=True)]
Conditions = dict[Text, Value | Values]
Number = Annotated[float, Field(allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1, fail_fast=True)]
Labels = Annotated[list[Text], Field(max_length=MAX_VALUES, fail_fast=True)]
Features = Annotated[dict[Text, Text | Integer | bool | Number | Labels | None], Field(min_length=1)]
Ids = Annotated[list[Id], Field(min_length=1, fail_fast=True)]


def _given(nothing: tuple[str, ...], **kinds: str | list[str]) -> dict[str, Any]:
    """JSON schema of an object that has these fields, of these types, and not the others."""
    fields = {name: {"type": kind} for name, kind in kinds.items()}
    return {"required": list(kinds), "properties": fields | {name: {"type": "null"} for name in nothing}}


class Body(BaseModel):
    """JSON of a request: unknown fields, and values of another type, are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, title="Body"
    )


class Wanted(Body):
    """What every request for items can ask."""

    k: int = Field(10, ge=1)
    """Items wanted per query."""
    where: Conditions | None = None
    """Only items with this value, or one of these values, in each of the columns."""
    features: bool = False
    """Give the published features of each item too."""


class NeighboursBody(Wanted):
    """Neighbours of many items."""

    ids: Ids
    """Ids of items."""


class SearchQuery(Body):
    """One thing to search for: a vector, or an item by its raw features."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [_given(("item",), vector="array"), _given(("vector",), item="object")]}
    )

    vector: Vector | None = None
    """Of the bundle's dimension; only its direction counts."""
    item: Features | None = None
    """Raw features of an item, encoded by the bundle's own model; columns left out are missing."""

    @model_validator(mode="after")
    def _complete(self) -> SearchQuery:
        return _one_of(self, "vector", "item")


class SearchBody(SearchQuery, Wanted):
    """One search, or many as `queries`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                _given(("item", "queries"), vector="array"),
                _given(("vector", "queries"), item="object"),
                _given(("vector", "item"), queries="array"),
            ]
        }
    )

    queries: Annotated[list[SearchQuery], Field(min_length=1, fail_fast=True)] | None = None
    """Many searches at once, with the same `k`, `where` and `features`."""

    @model_validator(mode="after")
    def _complete(self) -> SearchBody:
        return _one_of(self, "vector", "item", "queries")


class RecommendQuery(Body):
    """Somebody: a known user, or anybody by the items seen, by features, or by both."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _given(("history", "user_features"), user=["string", "integer"]),
                _given(("user",), history="array"),
                _given(("user",), user_features="object"),
            ]
        }
    )

    user: Id | None = None
    """Id of a user of the bundle."""
    history: Ids | None = None
    """Ids of the items seen, the oldest first; those that the bundle does not have are left out."""
    user_features: Features | None = None
    """Raw features of a user, where the towers were trained with any; columns left out are missing."""

    @model_validator(mode="after")
    def _complete(self) -> RecommendQuery:
        return _somebody(self)


class RecommendBody(RecommendQuery, Wanted):
    """One recommendation, or many as `queries`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                _given(("history", "user_features", "queries"), user=["string", "integer"]),
                _given(("user", "queries"), history="array"),
                _given(("user", "queries"), user_features="object"),
                _given(("user", "history", "user_features"), queries="array"),
            ]
        }
    )

    queries: Annotated[list[RecommendQuery], Field(min_length=1, fail_fast=True)] | None = None
    """Many users at once, with the same `k`, `where`, `features` and `exclude_seen`."""
    exclude_seen: bool = False
    """Leave out the items that the user has seen."""

    @model_validator(mode="after")
    def _complete(self) -> RecommendBody:
        if self.queries is None:
            return _somebody(self)
        return _one_of(self, "queries", "user", "history", "user_features")


Model = TypeVar("Model", bound=Body)
Person = TypeVar("Person", bound=RecommendQuery)


def _somebody(body: Person) -> Person:
    if body.history is not None and body.user_features is not None and body.user is None:
        return body
    return _one_of(body, "user", "history", "user_features")


def _one_of(body: Model, *names: str) -> Model:
    given = [name for name in names if getattr(body, name) is not None]
    if len(given) != 1:
        raise ValueError(f"expected one of {', '.join(names)}; found {' and '.join(given) or 'none'}")
    return body


@dataclass(frozen=True)
class NeighboursQuery:
    """Parameters of the neighbours of one item."""

    k: int = 10
    where: dict[str, list[str]] = field(default_factory=dict)
    features: bool = False

    @classmethod
    def parse(cls, query: bytes) -> NeighboursQuery:
        """From the part of the URL after `?`.

        Raises:
            Problem: an unknown or repeated parameter, or a value that is none.
        """
        plain = _ONLY_K.fullmatch(query)
        if plain is not None:
            return cls(int(plain[1] or 10))
        k, features, where = [], [], dict[str, list[str]]()
        for name, value in parameters(query):
            if name == "k":
                k.append(_whole(value))
            elif name == "features":
                features.append(_truth(value))
            elif name == "where":
                column, separator, wanted = value.partition("=")
                if not separator:
                    raise Problem(422, f"where: expected column=value, found {value[:80]!r}")
                where.setdefault(column, []).append(wanted)
            else:
                raise Problem(422, f"{name[:80]}: no such parameter", "parameters: k, where, features")
        if len(k) > 1 or len(features) > 1:
            raise Problem(422, f"{'k' if len(k) > 1 else 'features'}: expected once")
        return cls(k[0] if k else 10, where, bool(features and features[0]))


def parameters(query: bytes) -> list[tuple[str, str]]:
    """Names and values after `?`.

    Raises:
        Problem: too many, or one that is too long.
    """
    try:
        found = parse_qsl(
            query.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS
        )
    except ValueError:
        raise Problem(422, f"query: expected at most {MAX_PARAMETERS} parameters") from None
    if len(query) > MAX_TEXT and any(len(value) > MAX_TEXT for pair in found for value in pair):
        raise Problem(422, f"query: a parameter has more than {MAX_TEXT} characters")
    return found


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= len(value) <= 9 and int(value)):
        raise Problem(422, f"k: expected a whole number from 1, found {value[:80]!r}")
    return int(value)


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise Problem(422, f"features: expected true or false, found {value[:80]!r}")
    return value == "true"
