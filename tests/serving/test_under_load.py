"""Real services, asked by other processes: swaps under load, and whatever the OpenAPI description allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from real_bundle import publish_real

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def benchmark(root: Path, name: str, *arguments: object) -> str:
    """The output of a benchmark that found nothing wrong."""
    script = str(root / "benchmarks" / f"{name}.py")
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_bundles_change_under_load_without_a_failed_or_mixed_answer(root: Path) -> None:
    said = benchmark(root, "hot_swap", "--rows", 2000, "--swaps", 9, "--pause", 0.5)
    assert "3 broken bundles refused" in said
    assert "0 failed requests (target 0), 0 answers that mix versions (target 0)" in said


def test_no_request_made_from_the_description_fails_or_surprises(root: Path, tmp_path: Path) -> None:
    publish_real(tmp_path)
    said = benchmark(root, "fuzz", tmp_path / "published", "--minutes", 0.5)
    assert "0 x 5xx, 0 failures in the log, alive at the end" in said
