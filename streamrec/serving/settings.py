"""What the service is told."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from streamrec.config import Stage


class LimitsConfig(Stage):
    """What one request, or all requests at once, may ask for; more is refused, never cut down."""

    max_body_bytes: int = Field(8 * 2**20, ge=1_024)
    """Size of a request's body."""
    max_k: int = Field(1_000, ge=1)
    """Items wanted per query."""
    max_batch: int = Field(1_000, ge=1)
    """Queries of one request."""
    max_results: int = Field(100_000, ge=1)
    """Items wanted times queries of one request."""
    max_history: int = Field(1_000, ge=1)
    """Items of a history."""
    request_seconds: float = Field(10.0, gt=0)
    """Time for one request, its body included."""
    concurrency: int = Field(128, ge=1)
    """Requests in progress at once in one worker."""


class ServeConfig(Stage):
    """Settings of `streamrec serve`."""

    bundle: Path = Path("data/published")
    """A folder of bundles, whose `current` is followed, or one bundle."""
    host: str = "127.0.0.1"
    """Address to listen on: this machine alone, unless told otherwise."""
    port: int = Field(8080, ge=0, le=65_535)
    """Port to listen on; 0 lets the system choose one."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that answer, each with a bundle in memory."""
    poll_seconds: float = Field(1.0, gt=0)
    """Time between two looks at what `current` is."""
    wait: bool = False
    """Start although nothing is published yet."""
    token_file: Path | None = None
    """Bearer tokens, one per line; requests need one of them where any is set."""
    limits: LimitsConfig = LimitsConfig()
    """Limits of requests."""
