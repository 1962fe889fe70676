"""`python deploy/healthy.py URL`: exit code 0 where the address answers with success; for health checks."""

from __future__ import annotations

import sys
import urllib.request

try:
    urllib.request.urlopen(sys.argv[1], timeout=8).close()
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
