"""Real publishers killed by SIGKILL: no reader may notice, and the next publisher must clean up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundles import make_catalog, make_table, publish_small
from small_towers import make_towers

from streamrec.catalog.table import Catalog
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.publish_towers import publish_towers
from streamrec.retrieval.releases import Releases

KEEP = 2


class Publisher:
    """A process of `publisher.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, **order: Any) -> int:
        """Begin to publish; the process id to kill."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order, default=str) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def wait(self) -> int:
        """The exit status of what was started; -9 where it was killed."""
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def publishers(count: int) -> Iterator[list[Publisher]]:
    # One thread: a child forked beside running OpenMP threads would hang.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("publisher.py")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(count)
    ]
    try:
        yield [Publisher(process) for process in processes]
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    with publishers(1) as started:
        yield started[0]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return make_catalog(tmp_path / "items.parquet")


@pytest.fixture
def root(tmp_path: Path, catalog: Catalog) -> Path:
    """Two bundles, which are all that are kept."""
    for _ in range(2):
        publish_small(tmp_path / "published", catalog, keep=KEEP)
    return tmp_path / "published"


def assert_clean(root: Path) -> None:
    names = {path.name for path in root.iterdir()}
    assert names - set(Releases(root).versions) == {".lock", "current"}
    assert len(Releases(root).versions) == KEEP
    for version in Releases(root).versions:
        Bundle.open(root / version)


def test_a_death_at_any_step_leaves_the_old_bundle_or_the_new_one(
    root: Path, catalog: Catalog, publisher: Publisher, tmp_path: Path
) -> None:
    old = Bundle.open(root).manifest.version
    outcomes = []
    for step in range(1, 1_000):
        copy = shutil.copytree(root, tmp_path / f"step-{step}", symlinks=True)
        publisher.start(root=copy, catalog=catalog.path, keep=KEEP, die_at=step)
        status = publisher.wait()
        now = Bundle.open(copy).manifest.version
        outcomes.append(now == old)
        for version in Releases(copy).versions:
            Bundle.open(copy / version)  # what carries a bundle's name is whole, current or not
        publish_small(copy, catalog, keep=KEEP)
        assert_clean(copy)
        assert Bundle.open(copy).manifest.version > now
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert step > 20
    # Old up to one step, new from there on: the switch is a single one.
    assert outcomes == sorted(outcomes, reverse=True)
    assert {*outcomes} == {True, False}


def test_a_death_while_towers_are_published_leaves_the_items_alone_or_both(
    root: Path, publisher: Publisher, tmp_path: Path
) -> None:
    before = Bundle.open(root)
    make_towers(tmp_path / "towers", before)
    outcomes = []
    for step in range(1, 1_000):
        copy = shutil.copytree(root, tmp_path / f"step-{step}", symlinks=True)
        publisher.start(root=copy, towers=tmp_path / "towers", keep=KEEP, die_at=step)
        status = publisher.wait()
        now = Bundle.open(copy)
        outcomes.append(now.manifest.towers is None)
        assert (now.manifest.version == before.manifest.version) == outcomes[-1]
        assert now.neighbours("item-0001", k=3).ids == before.neighbours("item-0001", k=3).ids
        if not outcomes[-1]:
            assert now.recommender.for_user("user-007", 3).ids
        for version in Releases(copy).versions:
            Bundle.open(copy / version)
        publish_towers(copy, now, tmp_path / "towers", KEEP)
        assert_clean(copy)
        assert Bundle.open(copy).manifest.towers is not None
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert step > 20
    assert outcomes == sorted(outcomes, reverse=True)
    assert {*outcomes} == {True, False}


@pytest.mark.slow
def test_a_death_while_a_bundle_is_refreshed_leaves_the_old_items_or_the_new_ones(
    root: Path, publisher: Publisher, tmp_path: Path
) -> None:
    before = Bundle.open(root)
    newer = make_catalog(tmp_path / "newer.parquet", make_table(200, seed=0)[20:])
    outcomes = []
    for step in range(1, 1_000):
        copy = shutil.copytree(root, tmp_path / f"step-{step}", symlinks=True)
        publisher.start(root=copy, catalog=newer.path, refresh=True, keep=KEEP, die_at=step)
        status = publisher.wait()
        now = Bundle.open(copy)
        outcomes.append(now.manifest.version == before.manifest.version)
        assert (now.manifest.rows, now.manifest.refreshed is None) == (
            (200, True) if outcomes[-1] else (180, False)
        )
        assert now.neighbours("item-0100", k=3).ids
        for version in Releases(copy).versions:
            Bundle.open(copy / version)
        publish_small(copy, newer, keep=KEEP)
        assert_clean(copy)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert step > 20
    assert outcomes == sorted(outcomes, reverse=True)
    assert {*outcomes} == {True, False}


def kill_at_random(publisher: Publisher, root: Path, catalog: Catalog, kills: int, longest: float) -> None:
    """Kill a process that publishes without end; every second time only after it has switched once."""
    random = np.random.default_rng(0)
    known = Bundle.open(root).manifest.version
    for kill in range(kills):
        child = publisher.start(
            root=root, catalog=catalog.path, keep=KEEP, repeat=1_000_000, index=random.choice(["flat", "ivf"])
        )
        deadline = time.monotonic() + 60
        while kill % 2 and os.readlink(root / "current") == known and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        assert publisher.wait() == -signal.SIGKILL
        bundle = Bundle.open(root)
        assert bundle.manifest.version >= known
        assert bundle.manifest.version > known or kill % 2 == 0
        assert bundle.neighbours("item-0001", k=3).ids
        known = publish_small(root, catalog, keep=KEEP).manifest.version
        assert Bundle.open(root).manifest.version == known
        assert_clean(root)


def test_a_publisher_killed_at_random_moments_never_harms_a_reader(
    root: Path, catalog: Catalog, publisher: Publisher
) -> None:
    kill_at_random(publisher, root, catalog, kills=40, longest=0.1)


@pytest.mark.slow
def test_a_publisher_of_more_items_killed_at_random_moments_never_harms_a_reader(
    tmp_path: Path, publisher: Publisher
) -> None:
    catalog = make_catalog(tmp_path / "items.parquet", make_table(4_000))
    root = tmp_path / "published"
    publish_small(root, catalog, keep=KEEP)
    publish_small(root, catalog, keep=KEEP)
    kill_at_random(publisher, root, catalog, kills=60, longest=0.5)


def test_publishers_at_once_all_succeed_and_readers_always_find_a_bundle(
    root: Path, catalog: Catalog
) -> None:
    with publishers(2) as pair:
        for publisher in pair:
            publisher.start(root=root, catalog=catalog.path, keep=1, repeat=12)
        versions, deadline = [], time.monotonic() + 60
        while len(set(versions)) < 5 and time.monotonic() < deadline:
            versions.append(Bundle.open(root).manifest.version)
        assert [publisher.wait() for publisher in pair] == [0, 0]
    assert versions == sorted(versions)
    assert len(set(versions)) > 1
    assert {path.name for path in root.iterdir()} == {".lock", "current", *Releases(root).versions}
    assert Releases(root).versions == [Bundle.open(root).manifest.version]
