"""The stack of compose.yaml with real servers: PostgreSQL, Prefect, MLflow, a worker and the service."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from composed import Composed
from servers import PASSWORD, Alerts, answers, free_port, kill, postgres, running, shorten, wait_for

from streamrec.config import TrackConfig
from streamrec.promotion.gates import GatesConfig
from streamrec.pyfunc.registry import champion
from streamrec.retrieval.bundle import Bundle
from streamrec.tracking import prepare_store

ENDED = ("Completed", "Failed", "Crashed", "NotPromoted")
AUTH = ("admin", "of-the-test")
TOKEN = "of-a-caller-in-the-test"
CALLER = {"Authorization": f"Bearer {TOKEN}"}


class Stack:
    """The running stack."""

    def __init__(self, root: Path, folder: Path, database: int, alerts: Alerts) -> None:
        ports = {name: str(free_port()) for name in ("prefect", "mlflow", "worker", "service")}
        self.folder, self.alerts = folder, alerts
        self.data = folder / "data"
        self.prefect = f"http://127.0.0.1:{ports['prefect']}"
        self.mlflow = f"http://127.0.0.1:{ports['mlflow']}"
        self.service = f"http://127.0.0.1:{ports['service']}"
        self.worker_health = f"http://127.0.0.1:{ports['worker']}/health"
        values = {
            "POSTGRES_PASSWORD": PASSWORD,
            "S3_ACCESS_KEY": "",
            "S3_SECRET_KEY": "",
            "PREFECT_AUTH": ":".join(AUTH),
            "STREAMREC_TOKENS": TOKEN,
            "STREAMREC_ALERT_WEBHOOK": alerts.url,
            "STREAMREC_TABLES": str(folder),
        }
        places = {
            "@postgres:5432": f"@127.0.0.1:{database}",
            "http://prefect:4200": self.prefect,
            "http://127.0.0.1:4200": self.prefect,
            "--port 4200": f"--port {ports['prefect']}",
            "http://mlflow:5000": self.mlflow,
            "--port 5000": f"--port {ports['mlflow']}",
            ":5000": f":{ports['mlflow']}",
            "--port 8080": f"--port {ports['service']}",
            "0.0.0.0": "127.0.0.1",
            # The object store alone is not here: MLflow keeps its artifacts in a folder.
            "s3://mlflow": str(folder / "artifacts"),
            "/var/lib/prefect": str(folder / "prefect"),
            "/app/data": str(self.data),
            "/app": str(root),
        }
        self.composed = Composed(root / "compose.yaml", values, places)
        # Signs of life as often as Prefect allows, so that a dead run is seen within the test.
        self.more = {
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_WEBSERVER_PORT": ports["worker"],
        }
        self.more |= {"PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1"}

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    def start(self, service: str, stack: ExitStack) -> subprocess.Popen[bytes]:
        """Start a service of compose.yaml; it ends with the `with` block of `stack`."""
        own = self.composed.environment(service) | self.more
        if service != "prefect":
            own["PREFECT_HOME"] = str(self.folder / "client")
        command = self.composed.command(service)
        return stack.enter_context(running(*command, log=self.log(service), cwd=self.folder, env=own))

    def set_up(self, root: Path, prefect_file: Path) -> str:
        """Run the one-shot service that sets the server up."""
        program, script = self.composed.command("set-up")
        own = self.composed.environment("set-up") | {"PREFECT_HOME": str(self.folder / "client")}
        own |= {"NO_COLOR": "1"}
        done = subprocess.run(
            [program, str(root / script), str(prefect_file)],
            env=own,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of Prefect's interface."""
        done = httpx.request(method, f"{self.prefect}/api{path}", json=body, auth=AUTH, timeout=30)
        assert done.is_success, done.text
        return done.json() if done.content else None

    def run(self, deployment: str, config: dict[str, Any]) -> str:
        """Ask for a run of a deployment; its id."""
        found = self.call("GET", f"/deployments/name/{deployment}")
        made = self.call(
            "POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": {"config": config}}
        )
        return str(made["id"])

    def state(self, run: str) -> str:
        """Name of a run's state."""
        return str(self.call("GET", f"/flow_runs/{run}")["state_name"])

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Runs of a flow that have begun, the newest first."""
        query = {
            "sort": "START_TIME_DESC",
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        }
        return list(self.call("POST", "/flow_runs/filter", query))

    def wait_until_ended(self, run: str, seconds: float = 300) -> str:
        """Name of the state in which a run ended."""
        wait_for("no end", lambda: self.state(run) in ENDED, seconds, self.log("worker"))
        return self.state(run)

    def served(self) -> str | None:
        """Version of the bundle that the service answers from."""
        try:
            done = httpx.get(f"{self.service}/v1/bundle", headers=CALLER, timeout=10)
        except httpx.TransportError:
            return None
        return str(done.json()["bundle"]) if done.status_code == 200 else None


def write_items(path: Path, first: int, last: int) -> None:
    """A table of items numbered `first` to `last`, in two channels."""
    number = np.arange(first, last)
    columns = {
        "item_id": [f"item-{one}" for one in number],
        "channel": ["news" if one % 2 else "sport" for one in number],
        "length": np.sin(number) + number % 2,
        "views": np.cos(number) - number % 2,
    }
    pq.write_table(pa.table(columns), path)


def config(stack: Stack, **more: Any) -> dict[str, Any]:
    """A run of the items that takes seconds."""
    return {
        "out": str(stack.data),
        "ingest": {"path": str(stack.folder / "items.parquet")},
        "features": {"item_id": "item_id", "categorical": ["channel"], "numeric": ["length", "views"]},
        "train": {"epochs": 2},
        "evaluate": {"queries": 50},
        "gates": dict.fromkeys(GatesConfig.model_fields.keys() - {"draws"}),  # two epochs pass none
        **more,
    }


def deployments(root: Path, stack: Stack) -> Path:
    """The project's deployments; the items' is due every five minutes, with settings of this test."""
    file = yaml.safe_load((root / "prefect.yaml").read_text())
    for deployment in file["deployments"]:
        deployment.pop("schedules")
        deployment.pop("triggers", None)  # tests/e2e/test_deployment.py sees events start the towers
    (items,) = (found for found in file["deployments"] if found["name"] == "daily")
    items["parameters"]["config"] = config(stack)
    items["schedules"] = [{"interval": 300, "timezone": "UTC"}]
    path = stack.folder / "prefect.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


@pytest.fixture
def stack(root: Path, tmp_path: Path) -> Iterator[tuple[Stack, ExitStack]]:
    """PostgreSQL, Prefect and MLflow, set up."""
    with postgres(root / "deploy/databases.sql") as database, ExitStack() as servers:
        stack = Stack(root, tmp_path, database, Alerts())
        stack.start("mlflow", servers)
        stack.start("prefect", servers)
        wait_for("no Prefect", lambda: answers(f"{stack.prefect}/api/health"), 300, stack.log("prefect"))
        wait_for("no MLflow", lambda: answers(f"{stack.mlflow}/health"), 300, stack.log("mlflow"))
        yield stack, servers


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_stack_publishes_serves_and_alerts(
    root: Path, stack: tuple[Stack, ExitStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, servers = stack
    write_items(here.folder / "items.parquet", 0, 300)
    file = deployments(root, here)
    first = here.set_up(root, file)
    assert "Automation 'streamrec-run-failed' created." in first
    again = here.set_up(root, file)
    assert "created" not in again.replace("successfully created", "")
    assert len(here.call("POST", "/automations/filter", {})) == first.count("Automation '")

    worker = here.start("worker", servers)
    wait_for("no worker", lambda: answers(here.worker_health), 180, here.log("worker"))

    # The schedule fires, the run publishes.
    wait_for("no run", lambda: bool(here.runs("item-embeddings")), 600, here.log("worker"))
    run = here.runs("item-embeddings")[-1]
    here.call("POST", f"/deployments/{run['deployment_id']}/pause_deployment")
    assert run["auto_scheduled"]
    assert here.wait_until_ended(run["id"]) == "Completed", here.log("worker").read_text()[-3000:]
    bundle = Bundle.open(here.data / "published")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", here.mlflow)
    encoder = champion(prepare_store(TrackConfig()))
    assert encoder is not None
    assert str(encoder.version) == bundle.manifest.model.version
    assert list((here.folder / "artifacts").rglob("weights.safetensors")), "artifacts go through the server"

    # The service answers from it, and from the next one without a restart.
    here.start("service", servers)
    wait_for("no service", lambda: here.served() == bundle.manifest.version, 60, here.log("service"))
    assert httpx.get(f"{here.service}/v1/bundle").status_code == 401
    item = str(pq.read_table(bundle.path / "embeddings.parquet")["item_id"][0])
    found = httpx.get(f"{here.service}/v1/items/{item}/neighbors?k=5", headers=CALLER).json()
    assert found["bundle"] == bundle.manifest.version
    second = here.run("item-embeddings/daily", config(here, seed=7))
    assert here.wait_until_ended(second) == "Completed"
    latest = Bundle.open(here.data / "published").manifest.version
    assert latest != bundle.manifest.version
    wait_for("no swap", lambda: here.served() == latest, 60, here.log("service"))

    # Items come and go; the published encoder takes them in.
    write_items(here.folder / "items.parquet", 5, 310)
    refreshed = here.run("refresh-items/hourly", {"out": str(here.data), "ingest": config(here)["ingest"]})
    assert here.wait_until_ended(refreshed) == "Completed", here.log("worker").read_text()[-3000:]
    manifest = Bundle.open(here.data / "published").manifest
    assert manifest.refreshed is not None
    assert (manifest.refreshed.encoded, manifest.refreshed.removed, manifest.rows) == (10, 5, 305)
    latest = manifest.version
    wait_for("no swap", lambda: here.served() == latest, 60, here.log("service"))
    assert httpx.get(f"{here.service}/v1/items/item-309", headers=CALLER).status_code == 200
    assert here.alerts.texts == []

    # A run that fails is told.
    failed = here.run("item-embeddings/daily", config(here, validation={"min_rows": 306}))
    assert here.wait_until_ended(failed) == "Failed"
    wait_for("no alert", lambda: bool(here.alerts.about("streamrec-run-failed")), 60, here.log("prefect"))
    assert here.call("GET", f"/flow_runs/{failed}")["name"] in here.alerts.about("streamrec-run-failed")[0]

    # The worker's machine goes down in the middle of a run: run and worker are missed.
    shorten(here.call, "streamrec-run-vanished", 60)
    shorten(here.call, "streamrec-worker-gone", 10)
    lost = here.run("item-embeddings/daily", config(here, train={"epochs": 5_000}))
    wait_for("no run", lambda: here.state(lost) == "Running", 120, here.log("worker"))
    time.sleep(5)
    kill(worker)
    wait_for("not missed", lambda: here.state(lost) == "Crashed", 240, here.log("prefect"))
    assert here.call("GET", f"/flow_runs/{lost}")["state"]["message"] == "no sign of life for 10 minutes"
    wait_for("no alert", lambda: len(here.alerts.about("streamrec-run-failed")) == 2, 60, here.log("prefect"))
    wait_for("no alert", lambda: bool(here.alerts.about("streamrec-worker-gone")), 240, here.log("prefect"))
    assert here.served() == latest

    # A new worker takes up the work.
    here.start("worker", servers)
    assert here.wait_until_ended(here.run("item-embeddings/daily", config(here, seed=8))) == "Completed"
    newest = Bundle.open(here.data / "published").manifest.version
    wait_for("no swap", lambda: here.served() == newest != latest, 60, here.log("service"))
