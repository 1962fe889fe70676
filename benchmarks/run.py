"""Every benchmark, one after the other: `make bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ORDER = (
    "quality",
    "train",
    "generate_million",
    "ingest",
    "validate",
    "encode_million",
    "publish_million",
    "serve",
    "serve_start",
    "hot_swap",
    "likelihood",
    "augmenters",
    "samplers",
)


def main() -> int:
    failed = 0
    for name in ORDER:
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")]).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
