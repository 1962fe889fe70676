from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from small_bundles import CREATED, make_catalog, publish_small

from streamrec.catalog.table import Catalog
from streamrec.errors import BundleError
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.releases import Releases


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return make_catalog(tmp_path / "items.parquet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


def test_everything_is_on_the_disk_before_it_gets_its_name(
    catalog: Catalog, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, str]] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def place(path: Any) -> str:
        return os.path.relpath(os.fspath(path), root)

    def watched_fsync(descriptor: int) -> None:
        events.append(("sync", place(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def watched_rename(source: Any, target: Any) -> None:
        events.append(("rename", place(target)))
        rename(source, target)

    def watched_replace(source: Any, target: Any) -> None:
        events.append(("replace", place(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    monkeypatch.setattr(os, "replace", watched_replace)
    bundle = publish_small(root, catalog)

    named, switched = events.index(("rename", bundle.path.name)), events.index(("replace", "current"))
    synced = {Path(name) for kind, name in events[:named] if kind == "sync"}
    inside = {Path(*path.parts[2:]) for path in synced if path.parts[0].startswith(".staging-")}
    assert inside == {path.relative_to(bundle.path) for path in [bundle.path, *bundle.path.rglob("*")]}
    assert ("sync", ".") in events[named:switched]
    assert ("sync", ".") in events[switched:]


def test_what_dead_publishers_left_is_removed_and_what_live_ones_hold_is_not(
    catalog: Catalog, root: Path
) -> None:
    publish_small(root, catalog)
    (root / ".staging-dead" / "bundle").mkdir(parents=True)
    (root / ".removed-20260101T000000.000000Z-00000000" / "model").mkdir(parents=True)
    (root / ".current-20260101T000000.000000Z-00000000").symlink_to("nowhere")
    with Releases(root).staging() as live:
        (live / "file").write_text("")
        assert {path.name for path in root.glob(".*")} == {".lock", live.parent.name}
        publish_small(root, catalog)
        assert (live / "file").exists()
    assert {path.name for path in root.glob(".*")} == {".lock"}


def test_a_publisher_waits_for_the_one_that_switches(catalog: Catalog, root: Path) -> None:
    releases = Releases(root)
    publish_small(root, catalog)
    published = threading.Event()

    def publish() -> None:
        publish_small(root, catalog)
        published.set()

    thread = threading.Thread(target=publish)
    with releases.locked():
        thread.start()
        assert not published.wait(0.5)
        assert len(releases.versions) == 1
    thread.join()
    assert len(releases.versions) == 2


def test_an_older_bundle_can_be_made_current_again(catalog: Catalog, root: Path) -> None:
    old, new = (publish_small(root, catalog).manifest.version for _ in range(2))
    Releases(root).make_current(old)
    assert Bundle.open(root).manifest.version == old
    assert Releases(root).versions == [old, new]


def test_only_a_whole_bundle_that_is_there_can_be_made_current(catalog: Catalog, root: Path) -> None:
    old, new = (publish_small(root, catalog).manifest.version for _ in range(2))
    with pytest.raises(BundleError, match=f"no version 2026; it has {old}, {new}"):
        Releases(root).make_current("2026")
    (root / old / "items.faiss").unlink()
    with pytest.raises(BundleError, match=r"items\.faiss"):
        Releases(root).make_current(old)
    assert Bundle.open(root).manifest.version == new


def test_the_link_is_relative_so_that_the_folder_can_move(catalog: Catalog, root: Path) -> None:
    version = publish_small(root, catalog, created=CREATED).manifest.version
    assert os.readlink(root / "current") == version
    moved = shutil.move(root, root.with_name("moved"))
    assert Bundle.open(moved).manifest.version == version
