"""Kill -9 the worker, the Prefect server, the service and the flow at random points of a loop that publishes.

After each kill the harness does what a supervisor does: it starts again what it had started. Then it checks:

1. nothing lost: the bundle that was current is there and verifies, or a newer one is current;
2. nothing half-published: every version under published/ verifies, with every checksum;
3. the service answers, from one whole version that is there;
4. the next run of the same configuration completes, without repeating a publication, and is served.

Run it with a free machine: `python benchmarks/chaos.py --kills 30`. Exit code 1 where a point failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from processes import free_port

from streamrec.config import TrackConfig
from streamrec.promotion.gates import GatesConfig
from streamrec.pyfunc.registry import champion
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.releases import Releases
from streamrec.tracking import prepare_store

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
VICTIMS = ("worker", "server", "service", "flow")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
PATIENCE = 600.0
"""Seconds that anything may take: the end of a run, of which the server may first have to miss the former."""


@dataclass
class Point:
    """One kill and what was found after it."""

    number: int
    victim: str
    delay: float
    """Seconds after the run began; where it ended before, at its end."""
    ended: str = ""
    """State of the run that was disturbed."""
    stage: str = ""
    """What the disturbed run had last finished."""
    seconds: float = 0.0
    """From the kill until all is well again."""
    wrong: list[str] = field(default_factory=list)


class Stack:
    """The processes of a deployment, each started again by hand."""

    def __init__(self, folder: Path, items: int, epochs: int) -> None:
        self.folder, self.items, self.epochs = folder, items, epochs
        self.published = folder / "data" / "published"
        self.api = f"http://127.0.0.1:{(port := free_port())}/api"
        self.service_url = f"http://127.0.0.1:{(service := free_port())}"
        self.commands = {
            "server": ["prefect", "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", str(port)],
            "worker": ["prefect", "worker", "start", "--pool", "streamrec"],
            "service": ["streamrec", "serve", "--bundle", str(self.published), "--port", str(service)],
        }
        self.environment = {
            **os.environ,
            "DO_NOT_TRACK": "true",
            "OMP_NUM_THREADS": "1",
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "STREAMREC_HOME": str(CHECKOUT),
        }
        self.processes: dict[str, psutil.Popen] = {}

    @property
    def track(self) -> TrackConfig:
        """Where the runs are recorded."""
        return TrackConfig(uri=f"sqlite:///{self.folder}/mlflow/mlflow.db")

    def start(self, name: str) -> None:
        """Start a process, in the way of its supervisor."""
        program, *arguments = self.commands[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = psutil.Popen(
                [str(BIN / program), *arguments],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )

    def set_up(self) -> None:
        """Create the pool and the item run's deployment, with nothing that starts it but this harness."""
        file = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
        (daily,) = (found for found in file["deployments"] if "item_embeddings" in found["entrypoint"])
        daily.pop("schedules"), daily.pop("triggers")
        (path := self.folder / "prefect.yaml").write_text(yaml.safe_dump(file | {"deployments": [daily]}))
        subprocess.run(
            [sys.executable, str(CHECKOUT / "deploy/set_up.py"), str(path)], env=self.environment, check=True
        )
        self.deployment = self.call("GET", "/deployments/name/item-embeddings/daily")["id"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of Prefect's interface, waited for while the server is down."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                done = httpx.request(method, f"{self.api}{path}", json=body, timeout=30)
                if done.is_success:
                    return done.json()
            if time.monotonic() > end:
                raise SystemExit(f"Prefect's server does not answer {path}; see {self.folder}/server.log")
            time.sleep(0.5)

    def run(self, seed: int) -> str:
        """Ask for a run; its id."""
        config = {
            "seed": seed,
            "out": str(self.folder / "data"),
            "generate": {"preset": "structured", "items": self.items},
            "train": {"epochs": self.epochs},
            "evaluate": {"queries": 50},
            "gates": dict.fromkeys(GatesConfig.model_fields.keys() - {"draws"}),  # any encoder may follow any
            "track": self.track.model_dump(),
        }
        path = f"/deployments/{self.deployment}/create_flow_run"
        return str(self.call("POST", path, {"parameters": {"config": config}})["id"])

    def state(self, run: str) -> str:
        """Type of a run's state."""
        return str(self.call("GET", f"/flow_runs/{run}")["state_type"])

    def flow(self, run: str) -> psutil.Process | None:
        """The process of a run, if it has one."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run:
                    return process
        return None

    def served(self) -> str | None:
        """Version that the service answers a search from; None where it does not answer, or mixes two."""
        try:
            told = httpx.get(f"{self.service_url}/v1/bundle", timeout=10)
            if told.status_code != 200:
                return None
            item = f"item_{0:07d}"
            found = httpx.get(f"{self.service_url}/v1/items/{item}/neighbors", params={"k": 5}, timeout=10)
        except httpx.HTTPError:
            return None
        whole = found.status_code == 200 and found.json()["bundle"] == told.json()["bundle"]
        return str(told.json()["bundle"]) if whole else None

    def stop(self) -> None:
        """End every process, those of runs too."""
        for process in self.processes.values():
            for one in [*_children(process), process]:
                with contextlib.suppress(psutil.Error):
                    one.kill()


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def broken(published: Path) -> list[str]:
    """What under `published` carries a bundle's name and does not verify."""
    found = []
    for version in Releases(published).versions:
        try:
            Bundle.open(published / version)
        except Exception as error:
            found.append(f"{version} is half-published: {error}")
    return found


def changed(path: Path) -> float:
    """When a file was last written to; before all others where it is gone by now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def last_finished(stack: Stack, begun: float) -> str:
    """The newest file that a run has left: how far it had come."""
    files = [path for path in (stack.folder / "data").rglob("[!.]*") if path.is_file()]
    newest = max(files, key=changed, default=None)
    if newest is None or newest.stat().st_mtime < begun:
        return "begun"
    return newest.relative_to(stack.folder / "data").as_posix()


def disturb(stack: Stack, point: Point, seed: int) -> float | None:
    """Kill the victim in a run, start it again, check, and let the next run complete.

    Returns the seconds that the disturbed run took, where it completed all the same.
    """
    before = Bundle.open(stack.published).manifest.version
    known = set(Releases(stack.published).versions)
    run, clock = stack.run(seed), time.time()
    if not wait_for(lambda: stack.flow(run) is not None):
        point.wrong.append("the run does not begin")
        return None
    begun = time.monotonic()
    wait_for(lambda: stack.flow(run) is None, point.delay)
    point.stage = last_finished(stack, clock)
    killed = time.monotonic()
    victim = stack.flow(run) if point.victim == "flow" else stack.processes[point.victim]
    if victim is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    if point.victim != "flow":
        stack.processes[point.victim].wait()
        stack.start(point.victim)

    point.wrong += broken(stack.published)
    current = Bundle.open(stack.published).manifest.version
    if current < before:
        point.wrong.append(f"lost: {current} is current, {before} was")
    if not wait_for(lambda: stack.served() in set(Releases(stack.published).versions), 120):
        point.wrong.append("the service does not answer from a whole version")

    wait_for(lambda: stack.flow(run) is None)
    took = time.monotonic() - begun
    wait_for(lambda: stack.state(run) in ENDED, 60)
    point.ended = stack.state(run).lower()
    again = stack.run(seed)
    if not wait_for(lambda: stack.state(again) in ENDED) or stack.state(again) != "COMPLETED":
        point.wrong.append(f"the next run does not complete: {stack.state(again).lower()}")
        return None
    point.wrong += broken(stack.published)
    latest = Bundle.open(stack.published)
    new = set(Releases(stack.published).versions) - known
    if len(new) != 1 or latest.manifest.version not in new:
        point.wrong.append(f"expected one new version, found {len(new)}")
    best = champion(prepare_store(stack.track))
    if best is None or best.tags.get("bundle") != latest.manifest.version:
        point.wrong.append("the champion is not the encoder of the current bundle")
    if not wait_for(lambda: stack.served() == latest.manifest.version, 120):
        point.wrong.append("the service does not swap to the new version")
    point.seconds = time.monotonic() - killed
    return took if point.ended == "completed" else None


@contextlib.contextmanager
def started(folder: Path, items: int, epochs: int) -> Iterator[tuple[Stack, float]]:
    """The stack with one bundle published and served, and the seconds that a run takes."""
    stack = Stack(folder, items, epochs)
    try:
        stack.start("server")
        stack.set_up()
        stack.start("worker")
        run = stack.run(seed=0)
        wait_for(lambda: stack.flow(run) is not None)
        begun = time.monotonic()
        wait_for(lambda: stack.state(run) in ENDED)
        if stack.state(run) != "COMPLETED":
            raise SystemExit(f"the first run did not complete; see {folder}/worker.log")
        length = time.monotonic() - begun
        stack.start("service")
        if not wait_for(lambda: stack.served() is not None, 120):
            raise SystemExit(f"the service does not answer; see {folder}/service.log")
        yield stack, length
    finally:
        stack.stop()


def chaos(folder: Path, kills: int, seed: int, items: int, epochs: int) -> list[Point]:
    """Kill `kills` times, each victim once a round, in seeded order and at seeded moments."""
    draw = random.Random(seed)
    rounds = (draw.sample(VICTIMS, len(VICTIMS)) for _ in range(kills))
    victims = [victim for order in rounds for victim in order][:kills]
    points = []
    with started(folder, items, epochs) as (stack, length):
        print(f"a run takes {length:.0f} s; {kills} kills, seed {seed}", flush=True)
        for number, victim in enumerate(victims, 1):
            point = Point(number, victim, draw.uniform(0, length))
            # A machine that others use too may have become faster or slower since.
            length = disturb(stack, point, seed=number) or length
            points.append(point)
            print(json.dumps(asdict(point)), flush=True)
            if point.wrong:
                shutil.copytree(stack.folder, folder.with_name(f"{folder.name}-{number}"), symlinks=True)
    return points


def main() -> int:
    """Print each point as a line of JSON and the sum; 1 where a point failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    told = parser.parse_args()
    with contextlib.ExitStack() as rest:
        folder = told.folder or Path(
            rest.enter_context(tempfile.TemporaryDirectory(prefix="streamrec-chaos-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        points = chaos(folder.resolve(), told.kills, told.seed, told.items, told.epochs)
    failed = [point for point in points if point.wrong]
    print(f"{len(points) - len(failed)} of {len(points)} points: all well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
