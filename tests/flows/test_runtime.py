from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows import runtime
from flows.runtime import start_prefect, wait_for_prefect
from streamrec.errors import ConfigError, StreamRecError

RUN = """
import os, sys, time
from pathlib import Path
from flows.runtime import start_prefect, wait_for_prefect
start_prefect(Path(sys.argv[1]))
wait_for_prefect()
print(os.environ["PREFECT_API_URL"], os.environ["PREFECT_HOME"], flush=True)
time.sleep(300)
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An environment of a user without Prefect, to be changed freely."""
    found = {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    monkeypatch.setattr("os.environ", found)
    return found


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def test_the_server_keeps_its_data_with_the_output_and_ends_with_a_killed_run(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    home = tmp_path / "home"
    home.mkdir()
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(home)},
    )
    try:
        assert run.stdout is not None
        url, prefect_home = run.stdout.readline().split()
        assert prefect_home == str(out / ".prefect")
        assert (out / ".prefect" / "prefect.db").exists()
        assert answers(url)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
    end = time.monotonic() + 60
    while answers(url):
        assert time.monotonic() < end, "the server outlived its run"
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"])
def test_the_users_own_prefect_is_kept(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    environment[name] = "theirs"
    start_prefect(tmp_path / "out")
    assert {key: environment.get(key) for key in ("PREFECT_API_URL", "PREFECT_HOME")} == {
        key: "theirs" if key == name else None for key in ("PREFECT_API_URL", "PREFECT_HOME")
    }
    assert not (tmp_path / "out").exists()


def test_the_users_profiles_are_kept(environment: dict[str, str], tmp_path: Path) -> None:
    profiles = tmp_path / "home" / ".prefect" / "profiles.toml"
    profiles.parent.mkdir()
    profiles.write_text('active = "work"\n')
    start_prefect(tmp_path / "out")
    assert "PREFECT_HOME" not in environment
    assert wait_for_prefect() == "as your Prefect profile says"


def test_what_the_environment_says_wins(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {"PREFECT_API_URL": "theirs", "MLFLOW_LOGGING_LEVEL": "DEBUG"}
    start_prefect(tmp_path / "out")
    assert environment["MLFLOW_LOGGING_LEVEL"] == "DEBUG"
    assert environment["DO_NOT_TRACK"] == "true"


def test_verbose_leaves_the_consoles_alone(environment: dict[str, str], tmp_path: Path) -> None:
    environment["PREFECT_API_URL"] = "theirs"
    start_prefect(tmp_path / "out", verbose=True)
    assert not {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "MLFLOW_LOGGING_LEVEL"} & environment.keys()


def test_a_server_of_the_user_that_does_not_answer_is_named(environment: dict[str, str]) -> None:
    environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:9/api does not answer"):
        wait_for_prefect()


def test_a_server_that_ends_at_once_is_an_error_with_its_log(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], env={})
    ended.wait()
    monkeypatch.setattr(runtime, "_server", ended)
    environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path)}
    with pytest.raises(StreamRecError, match=rf"did not start; see {tmp_path}/server\.log"):
        wait_for_prefect()


def test_a_folder_that_cannot_be_made_is_an_error_about_out(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match=r"out: cannot write .*/out/\.prefect"):
        start_prefect(tmp_path / "out")
