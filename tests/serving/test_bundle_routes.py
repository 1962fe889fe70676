from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from small_bundles import make_catalog, publish_small
from starlette.testclient import TestClient

from streamrec.retrieval.bundle import CURRENT, Bundle


def numbers(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def test_the_bundle_describes_itself_without_settings_and_files(client: TestClient, bundle: Bundle) -> None:
    answer = client.get("/v1/bundle").json()
    assert answer["bundle"] == answer["manifest"]["version"] == bundle.manifest.version
    assert answer["manifest"]["rows"] == 200
    assert answer["manifest"]["towers"]["facts"]["users"] == 60
    assert not {"files", "config"} & set(answer["manifest"])


def test_a_service_with_a_bundle_is_ready(client: TestClient, bundle: Bundle) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"bundle": bundle.manifest.version, "status": "ready", "refused": None}


def test_a_service_without_a_bundle_lives_and_is_not_ready(start: Any, tmp_path: Path) -> None:
    client = start(tmp_path / "nothing")
    assert client.get("/healthz").status_code == 200
    for answer in (client.get("/readyz"), client.get("/v1/bundle"), client.get("/v1/items/x")):
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "unavailable"
        assert answer.json()["bundle"] is None
    assert client.post("/v1/search", json={"vector": [1]}).status_code == 503
    assert client.get("/openapi.json").status_code == 200
    assert numbers(client)["streamrec_bundle_refused"] == 1


def test_what_is_not_there_has_the_form_of_every_error(client: TestClient, bundle: Bundle) -> None:
    for method, path, status, code in (
        ("GET", "/v2/items", 404, "no_such_path"),
        ("GET", "/v1/items", 404, "no_such_path"),
        ("GET", "/v1/bundle/", 404, "no_such_path"),
        ("GET", "/docs", 404, "no_such_path"),
        ("GET", "/assets/../../../etc/passwd", 404, "no_such_path"),
        ("DELETE", "/v1/items/item-0001", 405, "method_not_allowed"),
        ("GET", "/v1/search", 405, "method_not_allowed"),
        ("TRACE", "/v1/search", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        assert answer.json()["bundle"] == bundle.manifest.version
    assert client.request("DELETE", "/v1/search").headers["allow"] == "POST"
    assert client.head("/v1/bundle").status_code == 200


def test_a_fault_of_the_service_is_logged_and_not_told(
    client: TestClient, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("streamrec.retrieval.search.Searcher.nearest_to", fail)
    answer = client.get("/v1/items/item-0001/neighbors?k=17")
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {"code": "internal", "message": "the service failed; its log says why"},
        "bundle": bundle.manifest.version,
    }
    assert "secret" in caplog.text


def test_answers_are_counted_by_route_and_status(start: Any, bundle: Bundle) -> None:
    client = start(bundle.path.parent)
    for path in ("item-0001", "item-0002", "nothing"):
        client.get(f"/v1/items/{path}")
    client.get("/nowhere/at/all")
    found = numbers(client)
    route = 'route="/v1/items/{item_id}"'
    assert found[f'streamrec_requests_total{{{route},status="200"}}'] == 2
    assert found[f'streamrec_requests_total{{{route},status="404"}}'] == 1
    assert found['streamrec_requests_total{route="other",status="404"}'] == 1
    assert found[f"streamrec_request_seconds_count{{{route}}}"] == 3
    assert found[f'streamrec_bundle_info{{version="{bundle.manifest.version}"}}'] == 1
    assert found["streamrec_bundle_rows"] == 200
    assert found["streamrec_bundle_swaps_total"] == 1
    assert found["streamrec_bundle_refused"] == 0
    assert found["streamrec_bundle_age_seconds"] >= 0


def test_one_bundle_may_be_served_instead_of_a_folder_of_them(start: Any, tmp_path: Path) -> None:
    publish_small(tmp_path / "b", make_catalog(tmp_path / "c.parquet"))
    version = os.readlink(tmp_path / "b" / CURRENT)
    assert start(tmp_path / "b" / version).get("/readyz").json()["bundle"] == version
