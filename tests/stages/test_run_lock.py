"""One run at a time in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamrec.errors import RunLockedError
from streamrec.stages.lock import LOCK, sole_run

HOLD = """
import sys, time
from pathlib import Path
from streamrec.stages.lock import sole_run
with sole_run(Path(sys.argv[1]), "held", 0):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """A process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_waits_for_the_first_and_says_for_whom(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    told: list[str] = []

    def kill(line: str) -> None:
        told.append(line)
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    with sole_run(tmp_path, "second", 60, kill):
        assert '"flow": "second"' in (tmp_path / LOCK).read_text()
    assert len(told) == 1, "a death frees the folder"
    assert told[0].startswith(f"waiting for held (process {holder.pid}, since 20")


def test_a_second_run_fails_clearly_after_its_time(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    try:
        with (
            pytest.raises(RunLockedError, match=rf"held \(process {holder.pid}.*raise stages.wait_minutes"),
            sole_run(tmp_path, "second", 0.2),
        ):
            pass
    finally:
        holder.kill()
        holder.wait()


def test_threads_take_turns_too(tmp_path: Path) -> None:
    inside: list[str] = []

    def work(name: str) -> None:
        with sole_run(tmp_path, name, 60):
            inside.append(name)
            assert len(inside) == 1
            inside.remove(name)

    threads = [threading.Thread(target=work, args=(f"run {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sole_run(tmp_path, "last", 0):
        pass


def test_a_flow_runs_inside_the_lock_of_its_command(tmp_path: Path) -> None:
    with sole_run(tmp_path, "command", 0):
        with sole_run(tmp_path / "." / "x" / "..", "flow", 0):
            pass
        assert '"flow": "command"' in (tmp_path / LOCK).read_text()
        told: list[str] = []
        with ThreadPoolExecutor() as others, pytest.raises(RunLockedError, match="command"):
            others.submit(enter, tmp_path, told).result()


def enter(folder: Path, told: list[str]) -> None:
    with sole_run(folder, "other", 0, told.append):
        pass


def test_another_folder_is_free(tmp_path: Path) -> None:
    with sole_run(tmp_path / "a", "one", 0), sole_run(tmp_path / "b", "two", 0):
        assert (tmp_path / "a" / LOCK).exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunLockedError, match="file/out: cannot write"),
        sole_run(tmp_path / "file/out", "x", 0),
    ):
        pass
    assert os.listdir(tmp_path) == ["file"]
