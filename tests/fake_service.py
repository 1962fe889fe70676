"""A service that gives prepared answers and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BREAK = "break the connection"


@dataclass
class FakeService:
    """Answers (status, content, headers) in their order, the last one for ever."""

    answers: list[tuple[int, Any, dict[str, str]] | str]
    asked: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    """Method, path, body and headers of each request."""
    url: str = ""


@contextmanager
def fake_service(*answers: tuple[int, Any, dict[str, str]] | str) -> Iterator[FakeService]:
    fake = FakeService(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            fake.asked.append((self.command, self.path, body, {**self.headers}))
            answer = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
            if isinstance(answer, str):
                self.close_connection = True
                return
            status, content, headers = answer
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
