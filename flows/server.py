"""A Prefect server that lives as long as its standard input is open: however a run ends, its server ends too.

`python -m flows.server PORT` is started by `flows.runtime`, with a pipe whose other end only the run holds.
"""

from __future__ import annotations

import subprocess
import sys
import threading


def main() -> int:
    """Start the server; end it at the end of the input; the server's exit code."""
    command = ("-m", "prefect", "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", sys.argv[1])
    server = subprocess.Popen([sys.executable, *command], stdin=subprocess.DEVNULL)

    def end_with_input() -> None:
        sys.stdin.read()
        server.terminate()

    threading.Thread(target=end_with_input, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
