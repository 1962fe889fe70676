"""Real runs killed at the end of every stage, and two at once: nothing is done twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.runtime import DEFAULTS, QUIET, start_prefect, wait_for_prefect
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.releases import Releases

SMALL = (
    *("generate.preset=structured", "generate.items=300", "train.epochs=2", "evaluate.queries=50"),
    "augmenters=null",
)
AUGMENTERS = (
    "augmenters.families=[vae, flow]",
    "augmenters.fit.steps=20",
    "augmenters.rows=100",
    "augmenters.refine={cells: false, ratio_rounds: 0}",
)


pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(folder, *settings)`: `streamrec run` there, its lines about stages on its standard error."""
    runs: list[subprocess.Popen[str]] = []

    def begin(folder: Path, *settings: str, **environment: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).with_name("streamrec")), "run"]
        command += [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
        runs.append(
            subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "COLUMNS": "200", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return runs[-1]

    yield begin
    for run in runs:
        run.kill()
        run.wait()


@pytest.fixture
def prefect(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a Prefect server for many runs: starting one takes as long as a run with little to do."""
    monkeypatch.setattr("flows.runtime.has_own_prefect", lambda: False)
    for name in ("PREFECT_HOME", "PREFECT_API_URL", *DEFAULTS, *QUIET):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    start_prefect(tmp_path_factory.mktemp("prefect"))
    wait_for_prefect()
    return os.environ["PREFECT_API_URL"]


def stages_until_killed(run: subprocess.Popen[str], seen: list[str]) -> list[str]:
    """Stages that the run did, those that it reused left out; it is killed after the first not in `seen`."""
    assert run.stderr is not None
    done = []
    for line in run.stderr:
        words = line.split()
        if len(words) == 3 and words[2] == "s":
            done.append(words[0])
            if words[0] not in seen:
                run.send_signal(signal.SIGKILL)
                break
    run.communicate()
    return done


def versions(folder: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(folder / "mlflow" / "mlflow.db") as database:
        return sorted(database.execute("select name, version from model_versions"))


def test_a_run_killed_after_every_stage_is_gone_on_with(tmp_path: Path, start: Start, prefect: str) -> None:
    done = ["start", "track"]
    ended: int | None = -signal.SIGKILL
    while ended == -signal.SIGKILL:
        run = start(tmp_path, *AUGMENTERS, PREFECT_API_URL=prefect)
        done += stages_until_killed(run, done)
        ended = run.returncode
    assert ended == 0
    once = ("generate", "validate", "train", "evaluate", "register", "publish", "augment", "enrol")
    assert {stage: done.count(stage) for stage in once} == dict.fromkeys(once, 1), done
    assert versions(tmp_path) == [("streamrec-augmenter", 1), ("streamrec-item-encoder", 1)]
    published = tmp_path / "data" / "published"
    assert len(Releases(published).versions) == 1
    whole = tmp_path / "whole"
    whole.mkdir()
    assert start(whole, PREFECT_API_URL=prefect).wait() == 0
    mine, other = Bundle.open(published), Bundle.open(whole / "data" / "published")
    assert mine.manifest.files == other.manifest.files, "the same bytes as of a run that nothing interrupted"


def test_a_run_killed_half_way_through_its_training_ends_with_the_same_bundle(
    tmp_path: Path, start: Start
) -> None:
    long = ("train.epochs=60", "train.checkpoint_every=1", "train.patience=null")
    parts = []
    for name, kills in (("killed", True), ("whole", False)):
        folder = tmp_path / name
        folder.mkdir()
        run = start(folder, *long)
        if kills:
            checkpoint = folder / "data" / "stages"
            while run.poll() is None and not list(checkpoint.glob(".unfinished-train-*/*.safetensors")):
                time.sleep(0.05)
            run.kill()
            run.communicate()
            run = start(folder, *long)
        assert run.communicate() is not None
        assert run.returncode == 0
        bundle = Bundle.open(folder / "data" / "published")
        (history,) = (folder / "data" / "stages").glob("train-*/files/history.json")
        parts.append((bundle.manifest.files, '"resumed_from": 0' in history.read_text()))
    assert parts[0][0] == parts[1][0]
    assert [whole for _, whole in parts] == [False, True]


def test_of_two_runs_at_once_one_waits_and_finds_everything_done(tmp_path: Path, start: Start) -> None:
    runs = [start(tmp_path) for _ in range(2)]
    told = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    waited = [text for text in told if "waiting for item-embeddings (process" in text]
    assert len(waited) == 1, told
    assert sum("reused from run" in text for text in told) == 1
    assert versions(tmp_path) == [("streamrec-item-encoder", 1)]
    assert len(Releases(tmp_path / "data" / "published").versions) == 1
