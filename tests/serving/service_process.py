"""The service as its users start it: the command, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

COMMAND = str(Path(sys.executable).with_name("streamrec"))


@dataclass
class ServiceProcess:
    """A running service."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it by a signal; what it wrote to its log."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


@contextmanager
def service_process(root: Path, *options: str, **environment: str) -> Iterator[ServiceProcess]:
    """Start the service on a free port and wait until it answers."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--bundle", str(root), "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    try:
        service = ServiceProcess(process, _port(process.pid))
        _wait(service)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _port(pid: int) -> int:
    """The port that a process listens on, as the system tells it."""
    import psutil

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for connection in psutil.Process(pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
        time.sleep(0.05)
    raise TimeoutError("the service does not listen")


def _wait(service: ServiceProcess) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{service.url}/healthz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError("the service does not answer")
