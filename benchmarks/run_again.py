"""`streamrec run` twice in an empty folder: how much of the first run's time an unchanged second one takes.

`python benchmarks/run_again.py [--set A.B=VALUE ...]`; without settings, what `make run` does. Both times are
those of the whole command, the start of Python and of Prefect included.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

MOST = 0.25
"""Share of the first run's time that the second may take."""


def timed_run(folder: str, settings: list[str]) -> float:
    """Seconds of the command, which is to succeed."""
    begun = time.perf_counter()
    command = [str(Path(sys.executable).with_name("streamrec")), "run", *settings]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> int:
    """Print both times and their ratio; 1 where the second took too much."""
    with TemporaryDirectory() as folder:
        first, second = (timed_run(folder, sys.argv[1:]) for _ in range(2))
    share = second / first
    print(f"first {first:.1f} s, again {second:.1f} s: {share:.0%} (at most {MOST:.0%})")
    return int(share > MOST)


if __name__ == "__main__":
    sys.exit(main())
