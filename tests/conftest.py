"""Settings and folders that every test shares."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A test must not report to, or depend on, whatever the developer's shell points at.
for name in [*os.environ]:
    if name.startswith(("PREFECT_", "MLFLOW_")):
        del os.environ[name]
os.environ["DO_NOT_TRACK"] = "true"
os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["MPLBACKEND"] = "Agg"

# A busy machine makes an example slow, never wrong.
settings.register_profile("streamrec", deadline=None)
settings.load_profile("streamrec")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real catalogues that live beside the checkout; skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


def streamrec(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of the `streamrec` command, run in `folder` as a user would."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("streamrec")), *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`streamrec(*arguments, folder=...)`."""
    return streamrec


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A working folder in which `streamrec run` has published 300 items and fitted augmenters; its output."""
    folder = tmp_path_factory.mktemp("run")
    small = ["generate.preset=structured", "generate.items=300", "train.epochs=2", "evaluate.queries=50"]
    small += ["augmenters.families=[vae, flow]", "augmenters.fit.steps=20", "augmenters.rows=100"]
    small += ["augmenters.refine={cells: false, ratio_rounds: 0}"]
    done = streamrec("run", *(word for setting in small for word in ("--set", setting)), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests for CUDA devices, with the reason, where there is none."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
