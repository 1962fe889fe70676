"""`Tokens`: bearer tokens, where any is set."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from starlette.types import Scope

from streamrec.errors import ConfigError
from streamrec.serving.problems import Problem

TOKENS = "STREAMREC_TOKENS"
"""Environment variable with tokens, separated by spaces or commas."""
OPEN = ("/healthz", "/readyz", "/")
"""Paths that answer without a token: whether the service lives and serves, and the page, without its data."""
OPEN_BELOW = "/assets/"
"""The files of the page."""
MIN_LENGTH = 16
"""Characters of a token: shorter ones can be guessed."""


def read_tokens(file: Path | None) -> tuple[str, ...]:
    """Tokens of a file, one per line (blank lines and those with # are skipped), or of the environment.

    Raises:
        ConfigError: the file cannot be read or has none; a token is too short or not plain ASCII.
    """
    if file is None:
        source, tokens = TOKENS, os.environ.get(TOKENS, "").replace(",", " ").split()
    else:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: cannot read the tokens: {error}") from None
        source = str(file)
        tokens = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not tokens:
            raise ConfigError(f"{file}: found no token, expected one per line")
    for number, token in enumerate(tokens, 1):
        if len(token) < MIN_LENGTH or not token.isascii() or any(sign.isspace() for sign in token):
            raise ConfigError(
                f"{source}: token {number} has {len(token)} characters, expected at least {MIN_LENGTH}, "
                "ASCII and no spaces; make one with `openssl rand -hex 32`"
            )
    return tuple(tokens)


class Tokens:
    """The tokens of which a request must have one, where there are any."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    def check(self, scope: Scope) -> None:
        """Let a request pass, or not.

        Raises:
            Problem: there are tokens, and it has none of them.
        """
        if not self._digests or _is_open(scope["path"]) or self._known(_bearer(scope["headers"])):
            return
        raise Problem(
            401,
            "expected a known bearer token",
            "send the header Authorization: Bearer TOKEN",
            headers={"www-authenticate": "Bearer"},
        )

    def _known(self, token: bytes) -> bool:
        """Whether it is one of the tokens; the time that it takes does not tell how near it comes to any."""
        given = _digest(token)
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _bearer(headers: list[tuple[bytes, bytes]]) -> bytes:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            return token.strip() if scheme.lower() == b"bearer" else b""
    return b""


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
