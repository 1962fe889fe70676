"""A real Prefect server and a real worker, started as docs/deploy.md says, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from servers import answers, free_port, running, wait_for

from flows.retrieval_summary import RetrievalSummary
from flows.summary import RunSummary
from streamrec.config import TrackConfig
from streamrec.pyfunc.registry import champion
from streamrec.retrieval.bundle import Bundle
from streamrec.tracking import prepare_store
from streamrec.user_config import TowersTrackConfig

PREFECT = str(Path(sys.executable).with_name("prefect"))
DEPLOYMENT = "item-embeddings/daily"


def deployments(root: Path, tmp_path: Path) -> Path:
    """The project's deployments, the towers' with settings of this test."""
    file = yaml.safe_load((root / "prefect.yaml").read_text())
    (weekly,) = (found for found in file["deployments"] if found["name"] == "weekly")
    weekly["parameters"]["config"] = {
        "out": str(tmp_path / "out"),
        "interactions": {"path": str(tmp_path / "events.parquet"), "timestamp": "time"},
        "towers": {"train": {"epochs": 2}, "network": {"dimension": 8, "hidden": 16}},
        "baselines": ["popular"],
        "evaluate": {"draws": 100},
        "track": {"uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db"},
    }
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(file))
    return path


def write_events(path: Path, items: int) -> None:
    """Users who take items of their own half only."""
    random = np.random.default_rng(5)
    halves = np.array_split(np.arange(items), 2)
    taken = [random.choice(halves[user % 2], 40, replace=False) for user in range(60)]
    pq.write_table(
        pa.table(
            {
                "user_id": [f"user-{user:02d}" for user, own in enumerate(taken) for _ in own],
                "item_id": [f"item_{item:07d}" for own in taken for item in own],
                "time": pa.array(random.integers(10**15, 17 * 10**14, 60 * 40), pa.timestamp("us")),
            }
        ),
        path,
    )


@pytest.fixture
def prefect(root: Path, tmp_path: Path) -> Iterator[tuple[str, Callable[..., str]]]:
    """Address of a server with the project's deployments and a worker, and the `prefect` command for it."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    settings: dict[str, Any] = {
        "cwd": root,
        "env": {
            **os.environ,
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_API_URL": api,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "STREAMREC_HOME": str(root),
            "NO_COLOR": "1",
        },
    }

    def command(*arguments: str, code: int = 0) -> str:
        done = subprocess.run([PREFECT, *arguments], capture_output=True, text=True, timeout=120, **settings)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    log = tmp_path / "server.log"
    server = (PREFECT, "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", str(port))
    with running(*server, log=log, **settings):
        wait_for("no server", lambda: answers(f"{api}/health"), 120, log)
        command("work-pool", "create", "streamrec", "--type", "process")
        command("--no-prompt", "deploy", "--all", "--prefect-file", str(deployments(root, tmp_path)))
        # The worker ends before the server: it would wait for it.
        with running(
            PREFECT, "worker", "start", "--pool", "streamrec", log=tmp_path / "worker.log", **settings
        ):
            yield api, command


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_deployed_run_publishes_and_its_event_starts_the_towers(
    prefect: tuple[str, Callable[..., str]], tmp_path: Path
) -> None:
    api, command = prefect
    write_events(tmp_path / "events.parquet", items=300)
    track = {"uri": f"sqlite:///{tmp_path}/mlflow/mlflow.db"}
    config = {
        "out": str(tmp_path / "out"),
        "generate": {"preset": "structured", "items": 300},
        "train": {"epochs": 2},
        "evaluate": {"queries": 50},
        "track": track,
    }
    refused = {"config": config | {"train": {"epoch": 2}}}
    assert "'epoch' was unexpected" in command(
        "deployment", "run", DEPLOYMENT, "--params", json.dumps(refused), code=1
    )
    assert not (tmp_path / "out").exists()

    command("deployment", "run", DEPLOYMENT, "--params", json.dumps({"config": config}))

    def latest(flow: str) -> dict[str, Any]:
        query = {
            "sort": "START_TIME_DESC",
            "limit": 1,
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        }
        found = httpx.post(f"{api}/flow_runs/filter", json=query).json()
        return found[0] if found else {"state_name": "none"}

    ended, log = ("Completed", "Failed", "Crashed", "NotPromoted"), tmp_path / "worker.log"
    wait_for("no end", lambda: latest("item-embeddings")["state_name"] in ended, 240, log)
    assert latest("item-embeddings")["state_name"] == "Completed", log.read_text()[-3000:]
    # Nobody starts this one: the event of the new bundle does.
    wait_for("no towers", lambda: latest("user-retrieval")["state_name"] in ended, 240, log)
    assert latest("user-retrieval")["state_name"] == "Completed", log.read_text()[-3000:]
    assert latest("user-retrieval")["created_by"]["type"] == "AUTOMATION"

    bundle = Bundle.open(tmp_path / "out" / "published")
    assert bundle.manifest.rows == 300
    item = bundle.searcher.items.table["item_id"][0].as_py()
    assert len(bundle.neighbours(item, 10)) == 10
    best = champion(prepare_store(TrackConfig(**track)))
    assert best is not None
    assert str(best.version) == bundle.manifest.model.version
    assert bundle.manifest.towers is not None
    assert len(bundle.recommender.for_user("user-07", 10)) == 10
    towers = champion(prepare_store(TowersTrackConfig(**track)))
    assert towers is not None
    assert towers.tags["bundle"] == bundle.manifest.version

    first, second = sorted((tmp_path / "out" / "runs").iterdir())
    items = RunSummary.model_validate_json((first / "summary.json").read_text())
    summary = RetrievalSummary.model_validate_json((second / "summary.json").read_text())
    assert (summary.trained_on, summary.bundle) == (items.bundle.name, bundle.path)
    pages = {found["key"]: found["data"] for found in httpx.post(f"{api}/artifacts/filter", json={}).json()}
    assert items.bundle.name in pages["item-embeddings"]
    assert bundle.manifest.version in pages["user-retrieval"]

    scheduled = httpx.post(
        f"{api}/flow_runs/filter", json={"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    ).json()
    times = {run["expected_start_time"][11:16] for run in scheduled}
    assert {"03:00", "05:00"} < times, "daily, weekly"
    assert {time[3:] for time in times - {"03:00", "05:00"}} == {"30"}, "hourly"
