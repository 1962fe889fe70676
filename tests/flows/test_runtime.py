from __future__ import annotations

from pathlib import Path

import pytest

from flows.runtime import prepare_prefect
from streamrec.errors import ConfigError


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """An environment of a user without Prefect, to be changed freely."""
    found = {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    monkeypatch.setattr("os.environ", found)
    return found


def test_without_a_prefect_of_the_users_own_the_database_stays_with_the_output(
    environment: dict[str, str], tmp_path: Path
) -> None:
    prepare_prefect(tmp_path / "deep" / "out")
    assert environment["PREFECT_HOME"] == str(tmp_path / "deep" / "out" / ".prefect")
    assert (tmp_path / "deep" / "out" / ".prefect").is_dir()
    assert environment["DO_NOT_TRACK"] == "true"


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"])
def test_the_users_own_prefect_is_kept(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    environment[name] = "theirs"
    prepare_prefect(tmp_path / "out")
    assert environment.get("PREFECT_HOME") == ("theirs" if name == "PREFECT_HOME" else None)
    assert not (tmp_path / "out").exists()


def test_the_users_profiles_are_kept(environment: dict[str, str], tmp_path: Path) -> None:
    profiles = tmp_path / "home" / ".prefect" / "profiles.toml"
    profiles.parent.mkdir()
    profiles.write_text('active = "work"\n')
    prepare_prefect(tmp_path / "out")
    assert "PREFECT_HOME" not in environment


def test_what_the_environment_says_wins(environment: dict[str, str], tmp_path: Path) -> None:
    environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "7"
    prepare_prefect(tmp_path / "out")
    assert environment["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "7"


def test_verbose_leaves_prefects_console_alone(environment: dict[str, str], tmp_path: Path) -> None:
    prepare_prefect(tmp_path / "out", verbose=True)
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in environment


def test_a_folder_that_cannot_be_made_is_an_error_about_out(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match=r"out: cannot make the folder .*/out/\.prefect"):
        prepare_prefect(tmp_path / "out")
