"""What the page asks for, as operations of the service.

They serve this page alone and may change with it: OpenAPI does not describe them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from streamrec.retrieval.index import normalised
from streamrec.serving.answers import answer
from streamrec.serving.endpoint import Answer, Call, Handle, Operation
from streamrec.serving.explorer.columns import ColumnCodes, kinds
from streamrec.serving.explorer.maps import Maps
from streamrec.serving.explorer.suggest import suggest, title_column
from streamrec.serving.problems import Problem
from streamrec.serving.requests import Body, Ids, Number, parameters
from streamrec.serving.served import Served, shown

PREFIX = "/v1/explorer"
MAX_PAGE = 10_000
"""Ids of one answer."""
MAX_PLACES = 1_000
"""Items or vectors placed by one request."""


class PlacesBody(Body):
    """Items by id, or embeddings, to be found on the map."""

    ids: Ids | None = Field(None, max_length=MAX_PLACES)
    """Ids of items."""
    vectors: list[list[Number]] | None = Field(None, min_length=1, max_length=MAX_PLACES)
    """Vectors of the bundle's dimension; only their direction counts."""

    @model_validator(mode="after")
    def _complete(self) -> PlacesBody:
        if (self.ids is None) == (self.vectors is None):
            raise ValueError("expected one of ids, vectors")
        return self


class Explorer:
    """The operations behind the page. Each takes the bundle in use once; the maps are made when asked for."""

    def __init__(self) -> None:
        self._maps = Maps()

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them."""

        def get(name: str, handle: Handle, *parameters: str) -> Operation:
            known = tuple({"name": each, "in": "query"} for each in parameters)
            return Operation("GET", f"{PREFIX}/{name}", handle, {}, parameters=known)

        return (
            get("map", self.map),
            get("points", self.points),
            get("column", self.column, "name"),
            get("ids", self.ids, "start", "count"),
            get("suggest", self.suggest, "text"),
            Operation("POST", f"{PREFIX}/places", self.places, {}, body=PlacesBody),
            get("samples", self.samples),
            get("sample", self.sample, "row"),
        )

    async def map(self, call: Call) -> Answer:
        """What the page says about the bundle, once the map is there."""
        served = call.service.live.current
        manifest, made = served.bundle.manifest, await self._maps.map(served)
        samples, source = manifest.samples, manifest.model
        named = f"{source.name}, version {source.version}" if source.name else None
        content = {
            "created": manifest.created.isoformat(),
            "items": manifest.rows,
            "points": len(made.positions),
            "dimension": manifest.dimension,
            "id_column": manifest.features.item_id,
            "title_column": title_column(served.bundle.searcher.items),
            "columns": [{"name": name, "kind": kind} for name, kind in kinds(manifest.features).items()],
            "samples": None if samples is None else {"rows": samples.rows, "family": samples.family},
            "quality": manifest.quality,
            "recommends": manifest.towers is not None,
            "model": named,
            "index": {
                "kind": manifest.index.kind,
                "recall": manifest.recall.value,
                "k": manifest.recall.k,
            },
        }
        return answer(served, content)

    async def points(self, call: Call) -> Answer:
        """Coordinates of all points, column by column."""
        served = call.service.live.current
        made = await self._maps.map(served)
        return await call.service.pool.run(lambda: answer(served, _coordinates(made.places)))

    async def column(self, call: Call) -> Answer:
        """Values of a column, their numbers of items, and the codes of all points."""
        served = call.service.live.current
        known, name = kinds(served.bundle.manifest.features), _text(call, "name")
        if name not in known:
            raise Problem(404, f"no column {shown(name)}", f"columns: {', '.join(known) or 'none'}")
        made = await self._maps.map(served)

        def encode() -> Answer:
            found = ColumnCodes.of(served.bundle.searcher.items.column(name), made.positions)
            return answer(served, {"name": name, "kind": known[name], **vars(found)})

        return await call.service.pool.run(encode)

    async def ids(self, call: Call) -> Answer:
        """Ids and titles of the points from `start` on."""
        served = call.service.live.current
        start, count = _whole(call, "start", 0), _whole(call, "count", MAX_PAGE)
        made = await self._maps.map(served)
        rows = made.positions[start : start + min(count, MAX_PAGE)]

        def read() -> Answer:
            items = served.bundle.searcher.items
            title = title_column(items)
            titles = None if title is None else [_word(cell) for cell in items.table[title].take(rows)]
            return answer(served, {"start": start, "ids": served.items.ids(rows), "titles": titles})

        return await call.service.pool.run(read)

    async def suggest(self, call: Call) -> Answer:
        """Items whose id or title has the text in it."""
        served, text = call.service.live.current, _text(call, "text")
        items = served.bundle.searcher.items
        return await call.service.pool.run(lambda: answer(served, {"items": suggest(items, text)}))

    async def places(self, call: Call) -> Answer:
        """Coordinates of items, on the map or not, or of any vectors."""
        body = await call.body(PlacesBody)
        served = call.service.live.current
        made = await self._maps.map(served)

        def find() -> Answer:
            if body.ids is not None:
                rows = np.array([served.item(item_id) for item_id in body.ids], dtype=np.int64)
                points, places = made.places_of(rows)
            else:
                places = made.place(_vectors(served, body.vectors or []))
                points = np.full(len(places), -1)
            return answer(served, _coordinates(places) | {"points": points})

        return await call.service.pool.run(find)

    async def samples(self, call: Call) -> Answer:
        """Coordinates of the synthetic samples."""
        served = call.service.live.current
        found = await self._samples(served)
        return answer(served, {"family": _family(served)} | _coordinates(found.places))

    async def sample(self, call: Call) -> Answer:
        """Features and embedding of one synthetic sample."""
        served, row = call.service.live.current, _whole(call, "row", 0)
        found = await self._samples(served)
        if row >= len(found.places):
            raise Problem(404, f"no sample {row}, the bundle has {len(found.places)}")
        features = found.rows.slice(row, 1).to_pylist()[0]
        return answer(served, {"row": row, "features": features, "vector": found.vectors[row]})

    async def _samples(self, served: Served) -> Any:
        if served.bundle.manifest.samples is None:
            raise Problem(404, f"bundle {served.version} has no synthetic samples")
        return await self._maps.samples(served)


def _family(served: Served) -> str | None:
    samples = served.bundle.manifest.samples
    return None if samples is None else samples.family


def _coordinates(places: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": np.ascontiguousarray(places[:, 0]), "y": np.ascontiguousarray(places[:, 1])}


def _vectors(served: Served, vectors: list[list[float]]) -> np.ndarray:
    expected = served.bundle.manifest.dimension
    for number, vector in enumerate(vectors):
        if len(vector) != expected:
            raise Problem(422, f"vectors.{number}: found {len(vector)} numbers, expected {expected}")
    return normalised(np.array(vectors, dtype=np.float64))


def _word(cell: Any) -> str | None:
    value = cell.as_py()
    return None if value is None else str(value)


def _text(call: Call, name: str) -> str:
    found = [value for key, value in parameters(call.query) if key == name]
    if len(found) != 1:
        raise Problem(422, f"{name}: expected once, found {len(found)} times")
    return found[0]


def _whole(call: Call, name: str, default: int) -> int:
    found = [value for key, value in parameters(call.query) if key == name]
    if not found:
        return default
    if len(found) > 1 or not (found[0].isascii() and found[0].isdigit() and len(found[0]) <= 9):
        raise Problem(422, f"{name}: expected one whole number from 0, found {', '.join(found)[:80]!r}")
    return int(found[0])
