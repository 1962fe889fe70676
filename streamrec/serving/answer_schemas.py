"""JSON schemas of the answers."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

VERSION: Schema = {"type": "string", "description": "Version of the bundle that this answer is from."}
ID: Schema = {"type": ["string", "integer"], "description": "Integer where the bundle's ids are."}


def _object(optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


ERROR = _object(
    ("hint",),
    code={"type": "string", "description": "What is wrong, for programs."},
    message={"type": "string", "description": "What is wrong, for people."},
    hint={"type": "string", "description": "What to do."},
)
PROBLEM = _object(error=ERROR, bundle={"type": ["string", "null"]})
ITEMS: Schema = {
    "type": "array",
    "description": "Best first; fewer than k where fewer exist or match.",
    "items": _object(
        ("features",),
        id=ID,
        score={"type": "number", "description": "Cosine, or the towers' inner product."},
        features={"type": "object", "description": "Published features, where they were asked for."},
    ),
}
_UNKNOWN: Schema = {"type": "array", "items": ID, "description": "Items of the history that were left out."}
ITEM = _object(
    bundle=VERSION,
    id=ID,
    features={"type": "object", "description": "Published features."},
    vector={"type": "array", "items": {"type": "number"}, "description": "Embedding, of length 1."},
)
NEIGHBOURS = _object(bundle=VERSION, id=ID, items=ITEMS)
MANY_NEIGHBOURS = _object(
    bundle=VERSION,
    results={
        "type": "array",
        "description": "In the order of the ids.",
        "items": {"anyOf": [_object(id=ID, items=ITEMS), _object(id=ID, error=ERROR)]},
    },
)
FOUND: Schema = {
    "anyOf": [
        _object(bundle=VERSION, items=ITEMS),
        _object(bundle=VERSION, results={"type": "array", "items": _object(items=ITEMS)}),
    ]
}
RECOMMENDED: Schema = {
    "anyOf": [
        _object(("unknown_items",), bundle=VERSION, items=ITEMS, unknown_items=_UNKNOWN),
        _object(
            bundle=VERSION,
            results={
                "type": "array",
                "description": "In the order of the queries.",
                "items": {
                    "anyOf": [
                        _object(("unknown_items",), items=ITEMS, unknown_items=_UNKNOWN),
                        _object(error=ERROR),
                    ]
                },
            },
        ),
    ]
}
BUNDLE = _object(
    bundle=VERSION,
    manifest={"type": "object", "description": "The bundle's manifest, without files and settings."},
)
ALIVE = _object(status={"const": "alive"})
READY = _object(
    bundle=VERSION,
    status={"enum": ["ready", "degraded"]},
    refused={
        "anyOf": [
            {"type": "null"},
            _object(
                version={"type": ["string", "null"]},
                reason={"type": "string"},
                since={"type": "string", "format": "date-time"},
            ),
        ]
    },
)
