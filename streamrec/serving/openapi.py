"""`document`: the service in OpenAPI 3.1, with the limits, columns and examples of what is served now."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.types import Message

import streamrec
from streamrec.serving.answer_schemas import PROBLEM
from streamrec.serving.endpoint import Call, Example, Operation, Service
from streamrec.serving.problems import CODES
from streamrec.serving.requests import Body
from streamrec.serving.served import Served

_REFERENCE = "#/components/schemas/"
_ALWAYS = (401, 405, 408, 413, 422, 500, 503)
_WORDS = {
    400: "The body is no JSON.",
    401: "Tokens are set, and none of them was sent.",
    404: "There is no such item, user or path.",
    405: "The path does not answer this method.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    422: "A field or parameter is unknown, of another type or out of bounds.",
    500: "The service failed.",
    503: "Nothing is served yet, or the service is busy.",
}


async def document(service: Service) -> dict[str, Any]:
    """The description; its examples are answered by the bundle in use, where there is one."""
    served = service.live.state.served
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    paths: dict[str, Any] = {}
    for operation in service.operations:
        described = await _operation(operation, service, served, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "StreamRec",
            "version": streamrec.__version__,
            "description": "Items, their neighbours, searches and recommendations of the published bundle.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


async def _operation(
    operation: Operation, service: Service, served: Served | None, schemas: dict[str, Any]
) -> dict[str, Any]:
    examples = {} if served is None else operation.examples(served)
    good: dict[str, Any] = {"schema": operation.answer}
    answers = {name: {"value": await _answer(operation, service, one)} for name, one in examples.items()}
    if answers:
        good["examples"] = answers
    statuses = {*_ALWAYS, *operation.errors} | ({400} if operation.body is not None else set())
    summary = (inspect.getdoc(operation.handle) or "").splitlines()[0]
    described: dict[str, Any] = {
        "operationId": operation.handle.__name__,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {operation.kind: good}}}
        | {str(status): _problem(status) for status in sorted(statuses)},
    }
    if operation.parameters:
        described["parameters"] = [_parameter(one, service, examples) for one in operation.parameters]
    if operation.body is not None:
        schema = _body_schema(operation.body, service, served, schemas)
        content: dict[str, Any] = {"schema": schema}
        if examples:
            content["examples"] = {name: {"value": one.body} for name, one in examples.items()}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


async def _answer(operation: Operation, service: Service, example: Example) -> Any:
    async def receive() -> Message:
        return {"type": "http.request", "body": orjson.dumps(example.body), "more_body": False}

    scope = {"headers": [], "query_string": urlencode(example.query).encode()}
    found = await operation.handle(Call(service, scope, receive, example.path))
    return orjson.loads(found.body)


def _problem(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REFERENCE + "Problem"}}}
    return {"description": f"{_WORDS[status]} ({CODES[status]})", "content": content}


def _parameter(
    parameter: Mapping[str, Any], service: Service, examples: Mapping[str, Example]
) -> dict[str, Any]:
    described = dict(parameter)
    if parameter["name"] == "k":
        described["schema"] = parameter["schema"] | {"maximum": service.settings.limits.max_k}
    values = {
        name: {"value": value}
        for name, one in examples.items()
        if (value := {**one.path, **one.query}.get(parameter["name"])) is not None
    }
    return described | ({"examples": values} if values else {})


def _body_schema(
    body: type[Body], service: Service, served: Served | None, schemas: dict[str, Any]
) -> dict[str, Any]:
    """A reference to the body's schema, put among `schemas` with what is known of limits and columns."""
    schema = body.model_json_schema(ref_template=_REFERENCE + "{model}")
    found = {**schema.pop("$defs", {}), body.__name__: schema}
    bounds = _bounds(service, served)
    for model in found.values():
        for name, described in model.get("properties", {}).items():
            described.pop("title", None)
            for option in [described, *described.get("anyOf", [])]:
                if name in bounds and option.get("type") in ("array", "object", "integer"):
                    option.update(bounds[name])
    schemas.update(found)
    return {"$ref": _REFERENCE + body.__name__}


def _bounds(service: Service, served: Served | None) -> dict[str, dict[str, Any]]:
    limits = service.settings.limits
    bounds: dict[str, dict[str, Any]] = {
        "k": {"maximum": limits.max_k},
        "ids": {"maxItems": limits.max_batch},
        "queries": {"maxItems": limits.max_batch},
        "history": {"maxItems": limits.max_history},
    }
    if served is not None:
        schema, width = served.bundle.manifest.features, served.bundle.manifest.dimension
        bounds["vector"] = {"minItems": width, "maxItems": width}
        bounds["where"] = {"propertyNames": {"enum": [*schema.categorical, *schema.multi_label_names]}}
        bounds["item"] = {"propertyNames": {"enum": list(schema.feature_columns)}}
    return bounds
