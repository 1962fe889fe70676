"""What is served, whether it is, and in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from streamrec.serving import answer_schemas as answers
from streamrec.serving.endpoint import Answer, Call, Example, Operation
from streamrec.serving.metrics import KIND
from streamrec.serving.openapi import document
from streamrec.serving.served import Served


async def bundle(call: Call) -> Answer:
    """What the bundle in use says about itself."""
    return Answer(call.service.live.current.description)


async def alive(call: Call) -> Answer:
    """The process answers."""
    return Answer(b'{"status":"alive"}')


async def ready(call: Call) -> Answer:
    """Whether a bundle is served, which, and what was refused meanwhile."""
    live = call.service.live
    served, refused = live.current, live.state.refused
    content: dict[str, Any] = {"bundle": served.version, "status": "ready", "refused": None}
    if refused is not None:
        content["status"] = "degraded"
        content["refused"] = {
            "version": refused.version,
            "reason": refused.reason,
            "since": refused.since.isoformat(timespec="seconds"),
        }
    return Answer(orjson.dumps(content))


async def metrics(call: Call) -> Answer:
    """Numbers for Prometheus."""
    return Answer(call.service.metrics.page(), kind=KIND)


async def openapi(call: Call) -> Answer:
    """The description of this service."""
    return Answer(orjson.dumps(await document(call.service)))


def _as_it_is(served: Served) -> Mapping[str, Example]:
    return {"now": Example()}


OPERATIONS = (
    Operation("GET", "/v1/bundle", bundle, answers.BUNDLE, examples=_as_it_is),
    Operation("GET", "/healthz", alive, answers.ALIVE, examples=_as_it_is),
    Operation("GET", "/readyz", ready, answers.READY, examples=_as_it_is),
    Operation("GET", "/metrics", metrics, {"type": "string"}, kind="text/plain"),
    Operation("GET", "/openapi.json", openapi, {"type": "object"}),
)
