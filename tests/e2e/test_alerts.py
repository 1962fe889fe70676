"""The automations of deploy/ on a real Prefect server: what does not come is told, what comes is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from servers import Alerts, answers, free_port, running, shorten, wait_for

Call = Callable[..., Any]
OURS = {"prefect.resource.role": "tag", "prefect.resource.id": "prefect.tag.streamrec"}


@pytest.fixture
def server(root: Path, tmp_path: Path) -> Iterator[tuple[Call, Alerts]]:
    """Prefect's interface, on a server with our automations and no worker, and where its alerts go."""
    port, alerts = free_port(), Alerts()
    api, log = f"http://127.0.0.1:{port}/api", tmp_path / "server.log"
    own = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": api}
    own |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "STREAMREC_ALERT_WEBHOOK": alerts.url}
    own |= {"STREAMREC_HOME": str(root)}
    file = yaml.safe_load((root / "prefect.yaml").read_text())
    file["deployments"] = [found for found in file["deployments"] if found["name"] == "weekly"]
    (one := tmp_path / "prefect.yaml").write_text(yaml.safe_dump(file))

    def call(method: str, path: str, body: Any = None) -> Any:
        done = httpx.request(method, f"{api}{path}", json=body, timeout=60)
        assert done.is_success, done.text
        return done.json() if done.content else None

    program = str(Path(sys.executable).with_name("prefect"))
    command = (program, "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", str(port))
    with running(*command, log=log, cwd=tmp_path, env=own):
        wait_for("no server", lambda: answers(f"{api}/health"), 300, log)
        set_up = (sys.executable, str(root / "deploy/set_up.py"), str(one))
        subprocess.run(set_up, env=own, check=True, timeout=300)
        yield call, alerts


def tell(call: Call, event: str, resource: str, **more: str) -> None:
    """An event as the server or a flow would emit it."""
    now = datetime.now(UTC).isoformat()
    whole = {"prefect.resource.id": resource, "prefect.resource.name": resource.rpartition(".")[2], **more}
    related = [OURS] if resource.startswith("prefect.flow-run") else []
    body = {"id": str(uuid4()), "occurred": now, "event": event, "resource": whole, "related": related}
    call("POST", "/events", [body])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_does_not_come_is_told(server: tuple[Call, Alerts], tmp_path: Path) -> None:
    call, alerts = server
    for name in ("streamrec-run-late", "streamrec-run-overdue", "streamrec-bundle-stale"):
        shorten(call, name, 20)
    time.sleep(5)  # the server takes up a changed automation within a moment
    taken, missed = (f"prefect.flow-run.{uuid4()}" for _ in range(2))
    here, there = ({"streamrec.published": f"/{name}/published"} for name in ("here", "there"))
    for run in (taken, missed):
        tell(call, "prefect.flow-run.Late", run)
    tell(call, "prefect.flow-run.Pending", taken)
    ended, hanging = (f"prefect.flow-run.{uuid4()}" for _ in range(2))
    for run in (ended, hanging):
        tell(call, "prefect.flow-run.Running", run)
    tell(call, "prefect.flow-run.NotPromoted", ended)
    for version, folder in (("v1", here), ("v2", there)):
        tell(call, "streamrec.bundle.published", f"streamrec.bundle.{version}", **folder)
    time.sleep(5)  # events that are told at once may be taken in any order
    tell(call, "streamrec.bundle.refreshed", "streamrec.bundle.v3", **there)

    def told(name: str) -> set[str]:
        return {text.rpartition("[")[2].rstrip("]") for text in alerts.about(name)}

    log = tmp_path / "server.log"
    wait_for("no alert", lambda: told("streamrec-run-late") == {missed.rpartition(".")[2]}, 120, log)
    wait_for("no alert", lambda: told("streamrec-run-overdue") == {hanging.rpartition(".")[2]}, 120, log)
    # Each folder of bundles has its own clock, which every publication sets back.
    wait_for("no alert", lambda: told("streamrec-bundle-stale") == {"v1", "v3"}, 120, log)
    assert told("streamrec-run-failed") == {ended.rpartition(".")[2]}
    assert told("streamrec-run-late") == {missed.rpartition(".")[2]}
    assert told("streamrec-run-overdue") == {hanging.rpartition(".")[2]}
