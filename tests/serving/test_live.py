from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_bundles import PlainEncoder, make_catalog, publish_small
from starlette.testclient import TestClient

from streamrec.retrieval.bundle import CURRENT, Bundle
from streamrec.retrieval.releases import Releases
from streamrec.serving.live import LiveBundle, State
from streamrec.serving.problems import Problem


def make(root: Path, shift: float = 0.0) -> Bundle:
    """Publish another bundle whose vectors, and so all scores, differ by the shift."""
    return publish_small(
        root, make_catalog(root.parent / "catalog.parquet"), PlainEncoder(shift=shift), keep=30
    )


def spoil(folder: Path, name: str = "items.faiss") -> bytes:
    """Change one bit in the middle of a file; its content before."""
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    (folder / name).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return content


def switch(root: Path, version: str) -> None:
    """Make a version current without looking at it, as no command of ours would."""
    with Releases(root).locked():
        Releases(root).switch(version)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path / "published")
    return tmp_path / "published"


@pytest.fixture
def live(root: Path) -> LiveBundle:
    live = LiveBundle(root)
    live.refresh()
    return live


def test_a_new_bundle_takes_the_place_of_the_old_one(root: Path, live: LiveBundle) -> None:
    seen: list[tuple[State, State]] = []
    live._watcher = lambda before, after: seen.append((before, after))
    first = live.current
    live.refresh()
    assert live.current is first
    second = make(root, 1.0)
    live.refresh()
    assert live.current.version == second.manifest.version != first.version
    assert first.bundle.neighbours("item-0001").scores[0] <= 1  # whoever still holds it can use it
    Releases(root).make_current(first.version)
    live.refresh()
    assert live.current.version == first.version
    assert [after.served.version for _, after in seen if after.served] == [
        second.manifest.version,
        first.version,
    ]


def test_a_broken_bundle_is_refused_once_and_the_old_one_serves_on(
    root: Path, live: LiveBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = live.current
    broken = make(root, 1.0)
    content = spoil(broken.path)
    opened: list[Path] = []
    original = Bundle.open
    monkeypatch.setattr(Bundle, "open", classmethod(lambda cls, path: opened.append(path) or original(path)))
    for version in (broken.manifest.version, first.version, broken.manifest.version):
        switch(root, version)
        live.refresh()
    assert live.current is first
    assert opened == [broken.path]
    refused = live.state.refused
    assert refused is not None
    assert refused.version == broken.manifest.version
    assert "items.faiss: SHA-256 is" in refused.reason
    assert str(root) not in refused.reason
    (broken.path / "items.faiss").write_bytes(content)
    live.refresh()
    assert live.current.version == broken.manifest.version
    assert live.state.refused is None


def test_going_back_to_what_is_served_needs_no_reading(
    root: Path, live: LiveBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = live.current
    spoil(make(root, 1.0).path)
    live.refresh()
    assert live.state.refused is not None
    switch(root, first.version)
    monkeypatch.setattr(Bundle, "open", lambda path: pytest.fail("read again"))
    live.refresh()
    assert live.state == State(first)


@pytest.mark.parametrize("how", ["removed", "dangling", "folder gone"])
def test_a_missing_current_leaves_the_old_one_serving(root: Path, live: LiveBundle, how: str) -> None:
    first = live.current
    if how == "removed":
        (root / CURRENT).unlink()
    elif how == "dangling":
        switch(root, "20300101T000000.000000Z-00000000")
    else:
        shutil.rmtree(root)
    live.refresh()
    assert live.current is first
    assert live.state.refused is not None
    assert live.state.refused.version is None
    newer = make(root, 1.0)
    live.refresh()
    assert (live.current.version, live.state.refused) == (newer.manifest.version, None)


def test_nothing_is_served_until_something_is_published(tmp_path: Path) -> None:
    live = LiveBundle(tmp_path / "published")
    live.refresh()
    with pytest.raises(Problem, match=r"no bundle to answer from: .*publish a bundle first"):
        _ = live.current
    made = make(tmp_path / "published")
    live.refresh()
    assert live.current.version == made.manifest.version


def test_what_moves_on_while_it_is_read_is_not_called_broken(
    root: Path, live: LiveBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = make(root, 1.0)
    third = make(root, 2.0)
    switch(root, second.manifest.version)
    original = Bundle.open

    def remove_first(path: Path) -> Bundle:
        if path == second.path:
            switch(root, third.manifest.version)
            shutil.rmtree(second.path)
        return original(path)

    monkeypatch.setattr(Bundle, "open", remove_first)
    states: list[State] = []
    live._watcher = lambda before, after: states.append(after)
    live.refresh()
    assert live.current.version == third.manifest.version
    assert [state.refused for state in states] == [None]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_under_load_no_request_fails_and_no_answer_mixes_versions(start: Any, tmp_path: Path) -> None:
    root = tmp_path / "published"
    bundles = [make(root, float(shift)) for shift in range(6)]
    scores = {
        bundle.manifest.version: [float(score) for score in bundle.neighbours("item-0001", 3).scores]
        for bundle in bundles
    }
    for bundle in bundles[1::2]:
        spoil(bundle.path, "embeddings.parquet")
    switch(root, bundles[0].manifest.version)
    client: TestClient = start(root)
    answers, ended = Counter[tuple[int, str]](), threading.Event()
    wrong: list[Any] = []

    def ask() -> None:
        while not ended.is_set():
            one = client.get("/v1/items/item-0001/neighbors?k=3")
            many = client.post("/v1/neighbors", json={"ids": ["item-0001"] * 3, "k": 3})
            for answer in (one, many):
                content = answer.json()
                answers[answer.status_code, content["bundle"]] += 1
                for part in content.get("results", [content]):
                    got = [item["score"] for item in part["items"]]
                    if got != pytest.approx(scores[content["bundle"]], abs=1e-6):
                        wrong.append(content)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    good = bundles[::2]
    for round_ in range(4):
        for bundle in bundles:
            switch(root, bundle.manifest.version)
            if bundle in good:
                wait_until(lambda: client.get("/readyz").json()["bundle"] == os.readlink(root / CURRENT))
            elif round_ == 0:
                wait_until(lambda: client.get("/readyz").json()["status"] == "degraded")
    last = good[0].manifest.version
    switch(root, last)
    wait_until(lambda: f'info{{version="{last}"}} 1.0' in client.get("/metrics").text)
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {bundle.manifest.version for bundle in good}
    wait_until(lambda: "streamrec_bundle_refused 0.0" in client.get("/metrics").text)
    served = [line for line in client.get("/metrics").text.splitlines() if "bundle_info{" in line]
    assert sum(line.endswith(" 1.0") for line in served) == 1


def test_a_refused_bundle_is_told(start: Any, root: Path) -> None:
    first = os.readlink(root / CURRENT)
    broken = make(root, 1.0)
    spoil(broken.path)
    switch(root, first)
    client: TestClient = start(root)
    switch(root, broken.manifest.version)
    wait_until(lambda: client.get("/readyz").json()["status"] == "degraded")
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["bundle"] == first
    assert ready.json()["refused"]["version"] == broken.manifest.version
    assert "altered" in ready.json()["refused"]["reason"]
    wait_until(lambda: "streamrec_bundle_refused 1.0" in client.get("/metrics").text)
    Releases(root).make_current(first)
    wait_until(lambda: client.get("/readyz").json()["status"] == "ready")
    wait_until(lambda: "streamrec_bundle_refused 0.0" in client.get("/metrics").text)
