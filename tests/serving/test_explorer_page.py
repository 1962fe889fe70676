"""The page's files: built from the sources, sent with headers that keep foreign code out, shipped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from streamrec.serving.explorer.page import STATIC

WEB = STATIC.parent / "web"
SOURCES = ("index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")


def test_the_built_page_belongs_to_the_sources() -> None:
    """Where this fails the sources were changed and `make page` was not run."""
    digest = hashlib.sha256()
    for name in sorted([*SOURCES, *(f"src/{path.name}" for path in (WEB / "src").iterdir())]):
        digest.update(f"{name}\n".encode() + (WEB / name).read_bytes())
    assert (STATIC / "sources.sha256").read_text().strip() == digest.hexdigest()


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()


def test_the_page_loads_its_own_files_alone(client: TestClient) -> None:
    html = client.get("/").text
    assert set(re.findall(r'(?:src|href)="([^"]*)"', html)) == {
        f"./assets/{path.name}" for path in (STATIC / "assets").iterdir()
    }
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for path in (STATIC / "assets").iterdir():
        addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text()))
        assert addresses <= {"http://www.w3.org"}, path


def test_the_policy_allows_no_code_from_elsewhere_and_none_inline(client: TestClient) -> None:
    for path in ("/", *(f"/assets/{path.name}" for path in (STATIC / "assets").iterdir())):
        headers = client.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_hashed_files_are_kept_for_good_and_the_page_is_asked_for_again(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = next(path for path in (STATIC / "assets").iterdir() if path.suffix == ".js")
    answer = client.get(f"/assets/{script.name}")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.content == script.read_bytes()


def test_an_unchanged_page_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/").headers["etag"]
    same = client.get("/", headers={"if-none-match": f'"other", {etag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200
    assert client.head("/").content == b""


@pytest.mark.parametrize(
    "path", ["/assets/nothing.js", "/assets/../page.py", "/assets/%2e%2e/page.py", "/static/index.html"]
)
def test_no_other_file_is_sent(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_no_method_but_reading_is_answered(client: TestClient) -> None:
    assert client.post("/").status_code == 405


def test_a_wheel_holds_the_built_page_and_none_of_its_sources(root: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    from setuptools.config.pyprojecttoml import read_configuration

    settings = read_configuration(root / "pyproject.toml", expand=False)["tool"]["setuptools"]
    find = settings["packages"]["find"]
    found = setuptools.find_namespace_packages(str(root), include=find["include"], exclude=find["exclude"])
    assert "streamrec.serving.explorer" in found
    assert not [name for name in found if "explorer.web" in name or "explorer.static" in name]
    assert any("explorer/static/assets" in pattern for pattern in settings["package-data"]["streamrec"])
    assert "serving/explorer/web/**" in settings["exclude-package-data"]["streamrec"]
