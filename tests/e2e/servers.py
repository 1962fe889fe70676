"""Real servers on loopback, as processes of their own, for the tests of whole deployments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

PASSWORD = "secret"


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(*command: str, log: Path, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own for the length of the `with` block, ended as Control-C would."""
    with log.open("a") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **settings
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process and its children; kill what is left after half a minute."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, as a power cut would."""
    whole = psutil.Process(process.pid)
    for one in [*whole.children(recursive=True), whole]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def wait_for(what: str, condition: Callable[[], bool], seconds: float, log: Path) -> None:
    """Fail, with the end of the log, where the condition does not come true in time."""
    stop = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < stop, f"{what} after {seconds:g} s:\n{log.read_text()[-3000:]}"
        time.sleep(0.5)


def answers(url: str) -> bool:
    """Whether a server answers with success."""
    try:
        return httpx.get(url, timeout=10).status_code == 200
    except httpx.TransportError:
        return False


class Alerts:
    """A webhook on loopback that keeps the texts it is sent."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        texts = self.texts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                texts.append(json.loads(body)["text"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/alerts"

    def about(self, name: str) -> list[str]:
        return [text for text in self.texts if text.startswith(f"{name}: ")]


def shorten(call: Callable[..., Any], automation: str, seconds: int) -> None:
    """Let an automation wait for less long; `call(method, path, body)` is Prefect's interface."""
    (found,) = call("POST", "/automations/filter", {"automations": {"name": {"any_": [automation]}}})
    found["trigger"]["within"] = seconds
    fields = ("name", "description", "enabled", "trigger", "actions")
    call("PUT", f"/automations/{found['id']}", {field: found[field] for field in fields})


@contextmanager
def postgres(script: Path) -> Iterator[int]:
    """Port of an empty PostgreSQL on which an SQL script has been run; skips where there are no binaries."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    programs, port = found[-1].parent, free_port()
    if not found[-1].name:
        pytest.skip("needs PostgreSQL's server programs (initdb, postgres)")
    # PostgreSQL refuses root, and another user cannot enter the test's own folder.
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="streamrec-postgres-"))
    log = folder.with_suffix(".log")
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user:
            shutil.chown(folder, "nobody", "nogroup")
            shutil.chown(secret, "nobody", "nogroup")
        made = (programs / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--no-locale")
        made += ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
        subprocess.run(made, check=True, capture_output=True, cwd=folder, timeout=120, **user)  # type: ignore[call-overload]
        server = (str(programs / "postgres"), "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port))
        server += ("-k", str(folder), "-c", "max_connections=100")
        with running(*server, log=log, cwd=folder, **user):
            ready = (programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port))
            wait_for(
                "no database", lambda: subprocess.run(ready, capture_output=True).returncode == 0, 60, log
            )
            login = {**os.environ, "PGPASSWORD": PASSWORD}
            run = (programs / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-f", script)
            subprocess.run(run, check=True, capture_output=True, env=login, timeout=60)
            yield port
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        log.unlink(missing_ok=True)
