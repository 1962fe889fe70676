"""Each process of a deployment is killed once in the middle of a run; the benchmark does it thirty times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_lost_by_a_kill(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks/chaos.py"), "--kills", "4", "--folder", str(tmp_path / "c")],
        capture_output=True,
        text=True,
        timeout=1700,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 points: all well" in done.stdout
