"""Settings for a flow that brings its own Prefect: a temporary server in the run's own folder."""

from __future__ import annotations

import os
from pathlib import Path

from streamrec.errors import ConfigError

EMBEDDED = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    # The first start makes the database: up to half a minute on a busy machine, more than Prefect allows.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # The temporary server is stopped in the middle of its housekeeping and reports that as errors.
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}
QUIET = {
    # Prefect's database keeps the log; the console shows the command's own lines.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def has_own_prefect() -> bool:
    """Whether the user has set up Prefect: a server's address, a home or a profile."""
    named = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE")
    return any(os.environ.get(name) for name in named) or (Path.home() / ".prefect/profiles.toml").exists()


def prepare_prefect(out: Path, verbose: bool = False) -> None:
    """Complete the environment that Prefect reads when it is imported; call it before that.

    Without a Prefect of the user's own, its database goes to `out`/.prefect. What the environment already
    says is kept.

    Raises:
        ConfigError: `out` cannot be written.
    """
    settings = dict(EMBEDDED) if verbose else EMBEDDED | QUIET
    if not has_own_prefect():
        home = out.resolve() / ".prefect"
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"out: cannot make the folder {home}: {error.strerror}") from error
        settings["PREFECT_HOME"] = str(home)
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def check_prefect(out: Path) -> str:
    """Where the runs of `streamrec run` are recorded.

    Raises:
        ConfigError: the user's server does not answer, or `out` cannot be written.
    """
    prepare_prefect(out)
    import httpx
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME

    url = PREFECT_API_URL.value()
    if url is None:
        return f"a temporary server for each run, its database in {PREFECT_HOME.value()}"
    try:
        httpx.get(f"{url}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigError(f"{url}: {error}; start the server or unset PREFECT_API_URL") from None
    return f"{url} answers"
