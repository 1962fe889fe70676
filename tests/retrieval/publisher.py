"""Publishes in processes that a test can kill: imports once, then forks a child for each order it reads.

Orders are JSON lines `{"root", "catalog", "keep", "repeat", "die_at", "towers", "refresh"}` on stdin. The
process id of the child is answered at once and its exit status at its end. `die_at` n kills the child, by
SIGKILL, before its n-th change of the file system. `towers` is the folder of towers to publish with the items
of the current bundle, in place of the catalogue. With `refresh` the catalogue refreshes the current bundle.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas  # noqa: F401  (pyarrow loads it: once here, not in every child)
from small_bundles import SCHEMA, PlainEncoder, SmallBatches, publish_small

from streamrec.config import PublishConfig
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.refresh import compare, refresh

CHANGES = ("fsync", "link", "rename", "replace", "symlink", "mkdir", "unlink", "rmdir")


def die_at(step: int) -> None:
    """Kill this process before its `step`-th call, from 1, of the functions that change the file system."""
    calls = 0

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **keywords)

        return call

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def obey(order: dict[str, Any]) -> None:
    if "die_at" in order:
        die_at(order["die_at"])
    root = Path(order["root"])
    if "towers" in order:
        publish_towers(root, Bundle.open(root), Path(order["towers"]), order["keep"])
        return
    catalog = SmallBatches(Path(order["catalog"]), SCHEMA)
    if order.get("refresh"):
        bundle = Bundle.open(root)
        changes = compare(bundle, catalog, max_removed=0.5)
        refresh(root, bundle, catalog, changes, PublishConfig(keep=order["keep"]), encoder=PlainEncoder())
        return
    for shift in range(order.get("repeat", 1)):
        publish_small(
            root,
            catalog,
            PlainEncoder(shift=float(shift)),
            keep=order["keep"],
            index=order.get("index", "auto"),
            min_recall=0.5,
        )


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                obey(json.loads(line))
                status = 0
            finally:
                os._exit(status)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
