"""`Problem`: what the service answers where it cannot do what was asked; the one form of every error."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

CODES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    422: "invalid",
    500: "internal",
    503: "unavailable",
}
"""The code of an error by its status, unless a more special one says more."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


class Problem(Exception):
    """A request that is answered with an error; raised anywhere below an endpoint."""

    def __init__(
        self,
        status: int,
        message: str,
        hint: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.code = code or CODES[status]
        self.headers = dict(headers or {})

    def content(self) -> dict[str, Any]:
        """The value of `error` in the answer."""
        error = {"code": self.code, "message": self.message}
        return error if self.hint is None else error | {"hint": self.hint}

    def body(self, version: str | None) -> bytes:
        """The answer, with the version of the bundle in use."""
        return orjson.dumps({"error": self.content(), "bundle": version}, default=str)


def busy(message: str) -> Problem:
    """What to answer where the service has all that it can do at once."""
    return Problem(503, message, "try again", code="busy", headers={"retry-after": "1"})


def of_validation(error: ValidationError) -> Problem:
    """The first thing wrong with a body."""
    first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return Problem(400, f"body: {message}", "send JSON in UTF-8", code="bad_json")
    place = ".".join(str(part) for part in first["loc"]) or "body"
    if first["type"] == "extra_forbidden":
        return Problem(422, f"{_cut(place)}: no such field", "see /openapi.json for the fields")
    found = "" if first["type"] in ("missing", "value_error") else f", found {_short.repr(first['input'])}"
    return Problem(422, f"{_cut(place)}: {message}{found}")


def _cut(place: str) -> str:
    return place if len(place) <= 120 else place[:119] + "…"
