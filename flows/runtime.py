"""The Prefect of a run on its own: a server that starts and ends with it, its data beside the run's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from streamrec.errors import ConfigError, StreamRecError

DEFAULTS = {"DO_NOT_TRACK": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
QUIET = {
    # Prefect's database keeps the log; the console shows the command's own lines.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
START_SECONDS = 120.0
"""The first start makes the database: half a minute on a busy machine."""

_server: subprocess.Popen[bytes] | None = None
"""Held until the very end of the process: Prefect sends its last events while the interpreter exits."""


def has_own_prefect() -> bool:
    """Whether the user has set up Prefect: a server's address, a home or a profile."""
    named = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE")
    return any(os.environ.get(name) for name in named) or (Path.home() / ".prefect/profiles.toml").exists()


def start_prefect(out: Path, verbose: bool = False) -> None:
    """Complete the environment that Prefect reads when it is imported, and begin to start its server.

    A user's own Prefect is used as it is. Without one, a server is started with its database in
    `out`/.prefect; it ends with this process, even a killed one. What the environment says already is kept.

    Raises:
        ConfigError: `out` cannot be written.
    """
    global _server
    for name, value in (DEFAULTS if verbose else DEFAULTS | QUIET).items():
        os.environ.setdefault(name, value)
    if has_own_prefect():
        return
    home = out.resolve() / ".prefect"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ["PREFECT_HOME"] = str(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "server.log").open("wb") as log:
            _server = subprocess.Popen(
                [sys.executable, "-m", "flows.server", port],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Control-C is for the run, which then tells the server how it ended
            )
    except OSError as error:
        raise ConfigError(f"out: cannot write {home}: {error.strerror}") from error
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"


def wait_for_prefect() -> str:
    """Wait until the server answers; says where it is.

    Raises:
        ConfigError: the user's server does not answer.
        StreamRecError: the server that was started here ended or takes too long; the message names its log.
    """
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        return "as your Prefect profile says"
    end = time.monotonic() + START_SECONDS
    while not _answers(url):
        if _server is None:
            raise ConfigError(
                f"PREFECT_API_URL: {url} does not answer; start the server or unset the variable"
            )
        if _server.poll() is not None or time.monotonic() > end:
            log = Path(os.environ["PREFECT_HOME"]) / "server.log"
            raise StreamRecError(f"the run's Prefect server did not start; see {log}")
        time.sleep(0.1)
    return f"{url} answers"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):
            return True
    except urllib.error.HTTPError:
        return True  # a server, if one that wants a key
    except OSError:
        return False
