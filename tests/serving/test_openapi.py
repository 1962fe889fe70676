from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator, ValidationError
from starlette.testclient import TestClient

from streamrec.serving.app import OPERATIONS


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = schema | {"components": document["components"]}
    Draft202012Validator.check_schema(whole)
    Draft202012Validator(whole).validate(value)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    found = {(path, method.upper()) for path, method, _ in operations(document)}
    assert found == {(operation.path, operation.method) for operation in OPERATIONS}
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_every_example_is_a_good_request_and_its_answer_is_the_true_one(
    document: dict[str, Any], client: TestClient
) -> None:
    tried = 0
    for path, method, operation in operations(document):
        good = operation["responses"]["200"]["content"]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in good.get("application/json", {}).get("examples", {}).items():
            given = {
                one["name"]: (one["in"], one["examples"][name]["value"])
                for one in operation.get("parameters", [])
                if name in one.get("examples", {})
            }
            address = path
            for parameter, (place, value) in given.items():
                if place == "path":
                    address = address.replace(f"{{{parameter}}}", quote(value, safe=""))
            query = {parameter: value for parameter, (place, value) in given.items() if place == "query"}
            sent = body["examples"][name]["value"] if body else None
            if sent is not None:
                check(document, body["schema"], sent)
            answer = client.request(method, address, params=query, json=sent)
            assert answer.status_code == 200, (path, name)
            assert answer.json() == example["value"]
            check(document, good["application/json"]["schema"], answer.json())
            tried += 1
    assert tried >= 12


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/search", {}),
        ("/v1/search", {"vector": None}),
        ("/v1/search", {"vector": [1, 2, 3, 4], "item": {"a": 1}}),
        ("/v1/search", {"queries": [{}]}),
        ("/v1/search", {"vector": [1, 2, 3]}),
        ("/v1/search", {"vector": [1, 2, 3, 4], "k": 1001}),
        ("/v1/search", {"vector": [1, 2, 3, 4], "where": {"colour": "red"}}),
        ("/v1/search", {"item": {"title": "x"}}),
        ("/v1/search", {"vector": [1, 2, 3, 4], "more": 1}),
        ("/v1/neighbors", {"ids": []}),
        ("/v1/neighbors", {"ids": ["x"] * 1001}),
        ("/v1/recommend", {"history": ["x"] * 1001}),
        ("/v1/recommend", {}),
        ("/v1/recommend", {"user": "x", "history": ["x"]}),
        ("/v1/recommend", {"queries": [{"user": None}]}),
    ],
)
def test_what_the_service_refuses_the_description_refuses_too(
    path: str, body: Any, document: dict[str, Any], client: TestClient
) -> None:
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    with pytest.raises(ValidationError):
        check(document, schema, body)
    assert client.post(path, json=body).status_code == 422


def test_errors_have_the_form_that_is_described(document: dict[str, Any], client: TestClient) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if status != "200":
                assert response["content"]["application/json"]["schema"] == {
                    "$ref": "#/components/schemas/Problem"
                }, (path, method)
    for path in ("/v1/items/nothing", "/v1/items/item-0001/neighbors?k=0", "/nowhere"):
        check(document, document["components"]["schemas"]["Problem"], client.get(path).json())


def test_a_service_without_a_bundle_is_described_without_examples(start: Any, tmp_path: Path) -> None:
    found = start(tmp_path / "nothing").get("/openapi.json").json()
    for _, _, operation in operations(found):
        for content in operation["responses"]["200"]["content"].values():
            assert "examples" not in content
