"""Ask a service for all that its OpenAPI description allows and forbids: no 5xx, no hang, no surprise.

    python benchmarks/fuzz.py BUNDLES [--minutes M] [--seed N]

BUNDLES is a folder of bundles, as `streamrec run` publishes them; with towers (`streamrec retrieve`), users
are asked about too. The models are loaded before, which takes seconds; Schemathesis makes the requests.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from processes import HOST, free_port, get, service, serving

from streamrec.client import Client

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
HUNG = 20
"""Seconds for one answer; the service gives up after ten."""


COUNT = re.compile(r'^streamrec_requests_total{.*status="(\d+)".*} (\S+)$', re.MULTILINE)


def load_models(port: int) -> None:
    """Ask for what needs the encoder, and the towers where there are any."""
    with Client(f"http://{HOST}:{port}", timeout=60) as client:
        manifest = client.bundle().manifest
        row = {name: None for name in manifest["schema"]["categorical"][:1]}
        found = client.search(item=row)
        if "towers" in manifest:
            client.recommend(history=found.ids)


def answers(port: int) -> Counter[str]:
    """Answers so far by HTTP status, as the service counts them."""
    found = Counter[str]()
    for status, count in COUNT.findall(get(port, "/metrics")[1].decode()):
        found[status] += int(float(count))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bundles", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "service.log"
        with serving(service(told.bundles, port), port, log):
            load_models(port)
            before = answers(port)
            done = subprocess.run(
                [
                    str(Path(sys.executable).with_name("schemathesis")),
                    "run",
                    f"http://{HOST}:{port}/openapi.json",
                    f"--max-time={told.minutes * 60:.0f}",
                    f"--checks={','.join(CHECKS)}",
                    f"--request-timeout={HUNG}",
                    f"--seed={told.seed}",
                    "--continue-on-failure",
                ],
                cwd=folder,
            )
            alive = get(port, "/healthz")[0] == get(port, "/readyz")[0] == 200
            counts = answers(port) - before
        failures = log.read_text().count("Traceback")
    by_status = ", ".join(f"{count:,} x {status}" for status, count in sorted(counts.items()))
    print(f"{counts.total():,} answers: {by_status}")
    broken = sum(count for status, count in counts.items() if status >= "500")
    print(f"{broken} x 5xx, {failures} failures in the log, {'alive' if alive else 'DEAD'} at the end")
    if done.returncode or broken or failures or not alive:
        raise SystemExit("failed")


if __name__ == "__main__":
    main()
