"""Is everything there that a run needs? Findings for the `doctor` command."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path

from packaging.requirements import Requirement

from streamrec.config import RunConfig
from streamrec.errors import StreamRecError

NATIVE = ("torch", "faiss", "pyarrow.parquet")
"""Packages with compiled parts, which may be installed and still not load."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    detail: str
    ok: bool = True


def examine(config: RunConfig, more: Mapping[str, Callable[[], str]]) -> Iterator[Finding]:
    """Look at the installation and at what the configuration names; one finding after the other.

    `more` are checks by subject: each says what it found or raises.
    """
    yield Finding("python", sys.version.split()[0])
    yield from check_packages()
    for module in NATIVE:
        yield _attempt(f"load {module}", partial(_load, module))
    checks: dict[str, Callable[[], str]] = {
        "device": partial(_device, config),
        "out": partial(_writable, config.out),
        "mlflow": partial(_tracking, config),
        "bundle": partial(_bundle, config.out),
        **more,
    }
    for subject, check in checks.items():
        yield _attempt(subject, check)


def check_packages() -> Iterator[Finding]:
    """Installed versions beside the ranges that StreamRec asks for."""
    for line in metadata.requires("streamrec") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, wanted = requirement.name, str(requirement.specifier) or "any"
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding(name, f"not installed, expected {wanted}", ok=False)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield Finding(name, found)
        else:
            yield Finding(name, f"found {found}, expected {wanted}", ok=False)


def _attempt(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, check())
    except StreamRecError as error:
        return Finding(subject, str(error), ok=False)
    except Exception as error:  # whatever is broken is what the command is to tell
        return Finding(subject, f"{type(error).__name__}: {' '.join(str(error).split())}", ok=False)


def _load(module: str) -> str:
    import_module(module)
    return "loads"


def _device(config: RunConfig) -> str:
    import torch

    from streamrec.training.device import resolve_device

    return f"training runs on {resolve_device(config.train.device)}, {torch.get_num_threads()} threads"


def _writable(folder: Path) -> str:
    nearest = folder.resolve()
    while not nearest.exists():
        nearest = nearest.parent
    with tempfile.TemporaryFile(dir=nearest):
        pass
    return f"{folder.resolve()} can be written"


def _tracking(config: RunConfig) -> str:
    from streamrec.tracking import prepare_store, store_uri

    uri = store_uri(config.track)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.exists():
        return f"{uri} will be made; {_writable(database.parent)}"
    return f"{prepare_store(config.track).uri} answers"


def _bundle(out: Path) -> str:
    from streamrec.retrieval.bundle import CURRENT, Bundle

    published = out / "published"
    if not (published / CURRENT).is_symlink():
        return f"none published under {out} yet"
    bundle = Bundle.open(published)
    return f"{bundle.path} verified, {bundle.manifest.rows:,} items"
