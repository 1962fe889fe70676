"""The page itself: files built by Vite, served from memory with headers that keep foreign code out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from streamrec.serving.endpoint import OPERATION

STATIC = Path(__file__).parent / "static"
ASSETS = "/assets/"
"""Paths of the files that the page loads; their names hold a hash of their content."""
PAGE = "index.html"
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Nothing from elsewhere, nothing inline, no evaluation of text, and no frame around the page."""
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


@dataclass(frozen=True)
class File:
    """A file of the page."""

    body: bytes
    headers: list[tuple[bytes, bytes]]
    etag: bytes


class Page:
    """The page's files as an ASGI application; it answers GET and HEAD alone.

    Which files there are is found out once: no path of a request ever names one on the disk.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = {"/": _file(folder / PAGE, ASK_AGAIN)}
        for path in sorted((folder / "assets").iterdir()):
            self._files[f"{ASSETS}{path.name}"] = _file(path, FOREVER)

    @property
    def routes(self) -> list[Route]:
        """A route for each file."""
        return [Route(path, self, methods=["GET"]) for path in self._files]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file, or only that it has not changed."""
        file = self._files[scope["path"]]
        scope[OPERATION] = "/" if scope["path"] == "/" else ASSETS
        known = dict(scope["headers"]).get(b"if-none-match", b"")
        same = file.etag in (tag.strip() for tag in known.split(b","))
        status, body = (304, b"") if same else (200, file.body)
        length = [] if same else [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": file.headers + length})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _file(path: Path, caching: str) -> File:
    body = path.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    own = {"content-type": KINDS[path.suffix], "cache-control": caching, "etag": etag}
    headers = [(name.encode(), value.encode()) for name, value in (own | HEADERS).items()]
    return File(body, headers, etag.encode())
