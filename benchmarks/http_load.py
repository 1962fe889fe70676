"""Load on an HTTP service from a process of its own: raw sockets, keep-alive, a request at a time on each.

The bytes of the requests are ready before the clock starts and of an answer only its length is looked for:
the generator needs a tenth of the processor that the service needs, and so does not measure itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds without any answer after which the service counts as hung."""
ANSWERS_PER_LOOK = 50
"""Answers between two looks for the file that ends a load."""
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


def request(method: str, path: str, content: Any = None) -> bytes:
    """A request on a connection that stays open; `content` is sent as JSON."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n"
    if content is None:
        return f"{head}\r\n".encode()
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Load:
    """What a service answered in a while."""

    seconds: float
    latencies: np.ndarray
    """(n,) seconds of each answer."""
    cpu: float
    """Seconds of the processor that the generator used."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Answers by HTTP status; 0 counts connections that the service broke off."""
    answers: Counter[tuple[int, int, bytes]] = field(default_factory=Counter)
    """Distinct answers where they were wanted: number of the request, status, body."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return self.statuses.total() - self.statuses[200]

    def percentile(self, share: float) -> float:
        """Latency, in milliseconds."""
        return float(np.percentile(self.latencies, share)) * 1000


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent = 0.0
        self.request = 0

    def send(self, number: int, data: bytes) -> None:
        self.received, self.request, self.sent = b"", number, time.perf_counter()
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once they are complete; (0, b"") when the connection broke."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            return 0, b""
        self.received = data = self.received + data if self.received else data
        head = data.find(_HEAD_END)
        if head < 0:
            return None
        length = int(data[:head].lower().partition(_LENGTH)[2].split(b"\r", 1)[0])
        if len(data) < head + len(_HEAD_END) + length:
            return None
        return int(data[9:12]), data[head + len(_HEAD_END) :]


def drive(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    seconds: float,
    keep: bool = False,
    until: Path | None = None,
    first: int = 0,
) -> Load:
    """Send the requests, in turn and from the start again, for some seconds.

    Args:
        port: of the service, on this machine.
        requests: as `request` makes them.
        connections: kept busy at once.
        seconds: until the last request is sent.
        keep: collect the distinct answers.
        until: a file; the load ends before its time where it is there.
        first: number of the request to begin with.

    Raises:
        TimeoutError: nothing came for half a minute.
    """
    clock, latencies = time.perf_counter, list[float]()
    statuses, answers = Counter[int](), Counter[tuple[int, int, bytes]]()
    selector, sent = selectors.DefaultSelector(), 0

    def send(connection: _Connection) -> None:
        nonlocal sent
        number = (first + sent) % len(requests)
        sent += 1
        connection.send(number, requests[number])

    def start() -> None:
        connection = _Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        send(connection)

    begin, cpu = clock(), time.process_time()
    for _ in range(connections):
        start()
    busy = connections
    while busy:
        ready = selector.select(PATIENCE)
        if not ready:
            raise TimeoutError(f"{busy} requests without an answer for {PATIENCE:.0f} seconds")
        for key, _ in ready:
            connection = key.data
            answer = connection.receive()
            if answer is None:
                continue
            now = clock()
            status, body = answer
            latencies.append(now - connection.sent)
            statuses[status] += 1
            if keep:
                answers[connection.request, status, body] += 1
            if until is not None and len(latencies) % ANSWERS_PER_LOOK == 0 and until.exists():
                seconds = 0
            again = now - begin < seconds
            if again and status:
                send(connection)
                continue
            selector.unregister(connection.socket)
            connection.socket.close()
            if again:
                start()
            else:
                busy -= 1
    return Load(clock() - begin, np.array(latencies), time.process_time() - cpu, statuses, answers)


class LoadProcess:
    """A second process that drives a service; see `load_process`."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def start(self, *arguments: Any, **keywords: Any) -> Future[Load]:
        """As `drive`, without waiting for its end."""
        return self._pool.submit(drive, *arguments, **keywords)

    def drive(self, *arguments: Any, **keywords: Any) -> Load:
        """As the function of this name."""
        return self.start(*arguments, **keywords).result()


@contextlib.contextmanager
def load_process() -> Iterator[LoadProcess]:
    """Start the process; it ends with the block."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield LoadProcess(pool)
