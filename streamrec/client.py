"""`Client`: the service over HTTP. It needs httpx and nothing else of StreamRec: the file may be copied."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

Id = str | int
Value = str | int | bool
Where = Mapping[str, Value | Sequence[Value]]
"""Column -> the value, or the values any of which will do; every column named must match."""

RETRIES = 3
"""Times that a request is sent again; each can only be asked, none changes anything."""
BACKOFF_SECONDS = 0.1
"""Wait before the first retry; it doubles. A `retry-after` of the service goes before it."""


class ServiceError(Exception):
    """The service refused, failed or could not be reached."""

    def __init__(self, code: str, message: str, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.code = code
        """What is wrong, for programs: the service's own codes, `unreachable`, `timeout` or `unexpected`."""
        self.message = message
        self.status = status
        """Of the answer; None where there is none, and for one query of many."""
        self.hint = hint
        """What to do, where the service says."""


@dataclass(frozen=True)
class Hit:
    """An item that was found."""

    id: Id
    score: float
    """Cosine, or the inner product of the towers."""
    features: Mapping[str, Any] | None = None
    """Published features, where they were asked for."""


@dataclass(frozen=True)
class Found:
    """Items, best first; fewer than asked for where fewer exist or match."""

    bundle: str
    """Version of the bundle that they are from."""
    items: list[Hit]
    unknown_items: list[Id] = field(default_factory=list)
    """Items of the history that the bundle does not have."""

    @property
    def ids(self) -> list[Id]:
        """Ids of the items."""
        return [item.id for item in self.items]


@dataclass(frozen=True)
class FoundMany:
    """The answer to many queries at once, from one bundle."""

    bundle: str
    """Version of the bundle that all of them are from."""
    results: list[Found | ServiceError]
    """In the order of the queries; an error stands for a query about what the bundle does not have."""


@dataclass(frozen=True)
class Item:
    """One published item."""

    bundle: str
    id: Id
    features: Mapping[str, Any]
    vector: list[float]
    """Embedding, of length 1."""


@dataclass(frozen=True)
class PublishedBundle:
    """What the bundle in use says about itself."""

    bundle: str
    manifest: Mapping[str, Any]


class Client:
    """Asks one service; a context manager. Requests share connections, also between threads."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0) -> None:
        """Take the service's address, a token where it wants one, and seconds to wait for each answer."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def neighbours(
        self, item_id: Id, k: int = 10, where: Where | None = None, features: bool = False
    ) -> Found:
        """The `k` items closest to an item, itself left out.

        Raises:
            ServiceError: unknown item, column or value; a limit of the service; it cannot be reached.
        """
        conditions = [
            ("where", f"{column}={_as_text(value)}")
            for column, values in (where or {}).items()
            for value in ([values] if isinstance(values, Value) else values)
        ]
        query: list[tuple[str, str | int]] = [("k", k), *conditions]
        if features:
            query.append(("features", "true"))
        answer = self._ask("GET", f"/v1/items/{quote(str(item_id), safe='')}/neighbors", query=query)
        return _found(answer["bundle"], answer)

    def neighbours_of_many(
        self, ids: Sequence[Id], k: int = 10, where: Where | None = None, features: bool = False
    ) -> FoundMany:
        """As `neighbours`, for many items; an unknown one is an error among the results.

        Raises:
            ServiceError: as `neighbours`.
        """
        return self._ask_many("/v1/neighbors", {"ids": list(ids)}, k, where, features)

    def search(
        self,
        vector: Iterable[float] | None = None,
        item: Mapping[str, Any] | None = None,
        k: int = 10,
        where: Where | None = None,
        features: bool = False,
    ) -> Found:
        """The `k` items closest to a vector, or to an item by its raw features, which the service encodes.

        Raises:
            ServiceError: neither or both are given; a vector of another dimension; as `neighbours`.
        """
        given = _named(vector=None if vector is None else _as_list(vector), item=item)
        return self._ask_one("/v1/search", given, k, where, features)

    def search_many(
        self,
        vectors: Iterable[Iterable[float]] | None = None,
        items: Sequence[Mapping[str, Any]] | None = None,
        k: int = 10,
        where: Where | None = None,
        features: bool = False,
    ) -> FoundMany:
        """As `search`, for many vectors, many items, or the vectors and then the items.

        Raises:
            ServiceError: as `search`.
        """
        queries: list[dict[str, Any]] = [{"item": dict(item)} for item in items or []]
        if vectors is not None:
            queries = [{"vector": _as_list(vector)} for vector in vectors] + queries
        return self._ask_many("/v1/search", {"queries": queries}, k, where, features)

    def recommend(
        self,
        user: Id | None = None,
        history: Sequence[Id] | None = None,
        user_features: Mapping[str, Any] | None = None,
        k: int = 10,
        where: Where | None = None,
        features: bool = False,
        exclude_seen: bool = False,
    ) -> Found:
        """The `k` best items for a known user, or for anybody by items seen (oldest first) or features.

        Raises:
            ServiceError: unknown user; the bundle has no towers; as `neighbours`.
        """
        given = _named(user=user, history=history, user_features=user_features)
        given |= {"exclude_seen": exclude_seen}
        return self._ask_one("/v1/recommend", given, k, where, features)

    def recommend_many(
        self,
        queries: Sequence[Mapping[str, Any]],
        k: int = 10,
        where: Where | None = None,
        features: bool = False,
        exclude_seen: bool = False,
    ) -> FoundMany:
        """As `recommend`, for many: each query has `user`, `history` or `user_features`.

        Raises:
            ServiceError: as `recommend`; an unknown user is an error among the results.
        """
        given = {"queries": [dict(query) for query in queries], "exclude_seen": exclude_seen}
        return self._ask_many("/v1/recommend", given, k, where, features)

    def item(self, item_id: Id) -> Item:
        """Features and vector of an item.

        Raises:
            ServiceError: unknown item; the service cannot be reached.
        """
        answer = self._ask("GET", f"/v1/items/{quote(str(item_id), safe='')}")
        return Item(answer["bundle"], answer["id"], answer["features"], answer["vector"])

    def bundle(self) -> PublishedBundle:
        """What is served now.

        Raises:
            ServiceError: nothing is; the service cannot be reached.
        """
        answer = self._ask("GET", "/v1/bundle")
        return PublishedBundle(answer["bundle"], answer["manifest"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask_one(
        self, path: str, given: dict[str, Any], k: int, where: Where | None, features: bool
    ) -> Found:
        answer = self._ask("POST", path, given | {"k": k, "features": features} | _conditions(where))
        return _found(answer["bundle"], answer)

    def _ask_many(
        self, path: str, given: dict[str, Any], k: int, where: Where | None, features: bool
    ) -> FoundMany:
        answer = self._ask("POST", path, given | {"k": k, "features": features} | _conditions(where))
        version = answer["bundle"]
        results = [
            _error(one["error"]) if "error" in one else _found(version, one) for one in answer["results"]
        ]
        return FoundMany(version, results)

    def _ask(self, method: str, path: str, content: Any = None, query: Any = None) -> dict[str, Any]:
        """The answer; the question is put again where the connection breaks or the service is busy."""
        for attempt in range(RETRIES + 1):
            wait = BACKOFF_SECONDS * 2**attempt
            try:
                response = self._http.request(method, path, json=content, params=query)
            except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
                if attempt == RETRIES:
                    raise ServiceError("unreachable", f"{self._http.base_url}: {error}") from error
            except httpx.TimeoutException as error:
                raise ServiceError("timeout", f"{self._http.base_url}{path}: no answer in time") from error
            else:
                if response.status_code != 503 or attempt == RETRIES:
                    return _content(response)
                told = response.headers.get("retry-after", "")
                wait = float(told) if told.isdigit() else wait
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def _content(response: httpx.Response) -> dict[str, Any]:
    status = response.status_code
    try:
        content = dict(response.json())
        error = None if response.is_success else _error(content["error"], status)
    except (ValueError, TypeError, KeyError):
        problem = f"{response.url}: not an answer of StreamRec: {response.text[:80]!r}"
        raise ServiceError("unexpected", problem, status) from None
    if error is not None:
        raise error
    return content


def _error(content: Mapping[str, Any], status: int | None = None) -> ServiceError:
    return ServiceError(content["code"], content["message"], status, content.get("hint"))


def _found(version: str, content: Mapping[str, Any]) -> Found:
    hits = [Hit(item["id"], item["score"], item.get("features")) for item in content["items"]]
    return Found(version, hits, content.get("unknown_items", []))


def _named(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _conditions(where: Where | None) -> dict[str, Any]:
    if not where:
        return {}
    return {"where": {name: one if isinstance(one, Value) else list(one) for name, one in where.items()}}


def _as_list(vector: Iterable[float]) -> list[float]:
    return [float(entry) for entry in vector]


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
