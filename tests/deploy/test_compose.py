"""The production stack of compose.yaml is pinned, private, restarted, watched and without root."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ONE_SHOT = {"bucket", "set-up"}


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "compose.yaml").read_text())


def test_images_are_pinned(compose: dict[str, Any], root: Path) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", service["image"]), name
    dockerfile = (root / "deploy/Dockerfile").read_text()
    assert re.search(r"^FROM python:3\.11\.\d+-slim-\w+$", dockerfile, re.M)
    assert "-c constraints.txt" in dockerfile


def test_ours_is_the_version_of_the_package(compose: dict[str, Any]) -> None:
    import streamrec

    ours = {service["image"] for service in compose["services"].values() if "build" in service}
    assert ours == {f"streamrec:{streamrec.__version__}"}


def test_servers_are_watched_and_restarted_and_have_no_rights(compose: dict[str, Any], root: Path) -> None:
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) == (name not in ONE_SHOT), name
        assert service["restart"].startswith("on-failure" if name in ONE_SHOT else "unless-stopped"), name
        assert "user" in service or service["cap_drop"] == ["ALL"], f"{name} is root"
    assert "USER streamrec" in (root / "deploy/Dockerfile").read_text().splitlines()[-1]


def test_only_loopback_is_published(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_secrets_come_from_the_environment_file_and_are_required(compose: dict[str, Any], root: Path) -> None:
    text = (root / "compose.yaml").read_text()
    named = set(re.findall(r"\$\{(\w+)", text))
    example = dict(
        line.split("=", 1)
        for line in (root / "deploy/env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert named == set(example)
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == named - {"STREAMREC_ALERT_WEBHOOK", "STREAMREC_TABLES"}
    assert all(not example[name] for name in required), "an example that would pass for a secret"


def test_every_server_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            ended = how["condition"] == "service_completed_successfully"
            assert ended == (needed in ONE_SHOT), f"{name} on {needed}"
            assert ended or "healthcheck" in services[needed]
        hosts = set(re.findall(r"[/@](\w+):\d+", str(service.get("environment", {})))) & set(services)
        reached, stack = set(), [name]
        while stack:
            stack += (more := set(services[stack.pop()].get("depends_on", {})) - reached)
            reached |= more
        assert hosts <= reached, name


def test_volumes_are_declared_and_the_service_only_reads(compose: dict[str, Any]) -> None:
    mounts = {
        name: [mount.split(":") for mount in service.get("volumes", [])]
        for name, service in compose["services"].items()
    }
    named = {mount[0] for found in mounts.values() for mount in found if re.fullmatch(r"\w+", mount[0])}
    assert named == set(compose["volumes"])
    assert ["data", "/app/data", "ro"] in mounts["service"]
    assert ["data", "/app/data"] in mounts["worker"]


def test_files_that_are_mounted_or_run_exist(compose: dict[str, Any], root: Path) -> None:
    text = (root / "compose.yaml").read_text()
    for path in re.findall(r"(?:\./|\s)((?:deploy/)[\w.]+)", text):
        assert (root / path).is_file(), path
