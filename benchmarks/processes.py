"""Processes that a benchmark starts, waits for and measures."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
PATIENCE = 120.0
"""Seconds within which a process must be ready."""


@dataclass(frozen=True)
class Server:
    """A service that answers."""

    process: psutil.Process
    port: int
    seconds: float
    """From the start of the process to its first ready answer."""

    @property
    def cpu(self) -> float:
        """Seconds of the processor used so far, by its workers too."""
        times = [process.cpu_times() for process in self._family()]
        return sum(used.user + used.system for used in times)

    def memory(self) -> dict[str, float]:
        """Megabytes, of its workers too: resident, its share of them (PSS), what is its own alone (USS)."""
        found = [process.memory_full_info() for process in self._family()]
        return {name: sum(getattr(info, name) for info in found) / 1e6 for name in ("rss", "pss", "uss")}

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET; (0, b"") where nothing answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, log: Path, ready: str = "/readyz") -> Iterator[Server]:
    """Start a service and wait until `ready` is answered with 200; it is stopped with the block.

    Raises:
        SystemExit: it is not ready within two minutes, or ends before.
    """
    with log.open("ab") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=one_thread())
        try:
            while get(port, ready)[0] != 200:
                if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                    raise SystemExit(f"{' '.join(command)}: not ready; see {log}")
                time.sleep(0.005)
            yield Server(psutil.Process(process.pid), port, time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def service(root: Path, port: int) -> list[str]:
    """The command that serves the bundles under `root`."""
    streamrec = str(Path(sys.executable).with_name("streamrec"))
    return [streamrec, "serve", "--bundle", str(root), "--port", str(port)]


def empty_service(port: int) -> list[str]:
    """The command that serves an empty route, `/empty`, in the same way."""
    return [sys.executable, str(Path(__file__).with_name("empty_service.py")), str(port)]


def one_thread() -> dict[str, str]:
    """The environment, with a thread per process for FAISS and the libraries below it."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run_python(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds of a fresh Python from its start to its end, as timed and of the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=one_thread())
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
