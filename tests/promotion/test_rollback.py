"""Back to an older bundle: the link and the champions move together, whatever dies between them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fake_registry import FakeClient, FakeStore, fake_store
from small_runs import SmallRun, train

from streamrec.errors import BundleError, TrackingError
from streamrec.promotion import rollback as module
from streamrec.promotion.aliases import TAKEN_BACK, follow_bundle
from streamrec.promotion.rollback import JOURNAL, rollback
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.publish import publish
from streamrec.retrieval.releases import Releases
from streamrec.tracking import TrackingStore


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return train(tmp_path_factory.mktemp("rollback"), "run", epochs=1)


class Published:
    """Three bundles of versions 1 to 3 of an encoder, the last one current, and their registry."""

    def __init__(self, run: SmallRun, out: Path) -> None:
        self.run = replace(run, folder=out / "runs" / "run")
        self.root = out / "published"
        self.store, self.client = fake_store(str(out), encoder=4)
        self.versions = [self.run.publish(version).manifest.version for version in (1, 2, 3)]
        follow_bundle(self.root, self.store, "items")

    @property
    def current(self) -> int:
        """Number, from 1, of the bundle in use."""
        return self.versions.index(Bundle.open(self.root).manifest.version) + 1

    @property
    def champion(self) -> str:
        return self.client.aliases["encoder", "champion"]

    def back(self, number: int | None = None, why: str | None = None) -> module.RolledBack:
        version = None if number is None else self.versions[number - 1]
        return rollback(self.root, lambda: self.store, version, why)


@pytest.fixture
def published(run: SmallRun, tmp_path: Path) -> Published:
    return Published(run, tmp_path)


def test_it_goes_to_the_version_before_and_the_champion_with_it(published: Published) -> None:
    assert (published.current, published.champion) == (3, "3")
    found = published.back(why="wrong neighbours")
    assert (published.current, published.champion) == (2, "2")
    assert (found.step.before, found.step.after) == (published.versions[2], published.versions[1])
    assert [model.version for model in found.champions] == [2]
    assert not found.resumed
    now, left = (published.client.tags["encoder", version] for version in ("2", "3"))
    assert now["bundle"] == published.versions[1]
    assert now["rollback"] == f"from bundle {published.versions[2]}"
    assert now["rollback.why"] == "wrong neighbours"
    assert left[TAKEN_BACK] == f"to bundle {published.versions[1]}: wrong neighbours"
    assert not (published.root / JOURNAL).exists()
    published.back()
    assert (published.current, published.champion) == (1, "1")


def test_it_goes_to_a_version_by_name_forward_too_and_that_is_no_longer_taken_back(
    published: Published,
) -> None:
    published.back(1)
    assert (published.current, published.champion) == (1, "1")
    assert TAKEN_BACK in published.client.tags["encoder", "3"]
    published.back(3)
    assert (published.current, published.champion) == (3, "3")
    assert TAKEN_BACK not in published.client.tags["encoder", "3"]
    assert TAKEN_BACK not in published.client.tags["encoder", "1"]


def test_the_current_version_by_name_mends_the_registry_alone(published: Published) -> None:
    published.client.aliases["encoder", "champion"] = "1"
    published.back(3)
    assert (published.current, published.champion) == (3, "3")
    assert "rollback" not in published.client.tags["encoder", "3"]


def test_what_is_not_there_or_does_not_verify_changes_nothing(published: Published, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no version 2026; it has "):
        rollback(published.root, lambda: published.store, "2026")
    (published.root / published.versions[1] / "items.faiss").write_bytes(b"")
    with pytest.raises(BundleError, match=r"items\.faiss"):
        published.back()
    assert (published.current, published.champion) == (3, "3")
    published.back(1)
    with pytest.raises(BundleError, match="there is no version before"):
        published.back()
    with pytest.raises(BundleError, match="nothing is published"):
        rollback(tmp_path / "nowhere", lambda: published.store)


def test_a_broken_current_bundle_can_be_left(published: Published) -> None:
    (published.root / published.versions[2] / "manifest.json").write_text("{}")
    published.back()
    assert (published.current, published.champion) == (2, "2")


class Killed(BaseException):
    pass


def test_killed_between_the_bundle_and_the_registry_it_is_finished_by_the_next(published: Published) -> None:
    def die() -> TrackingStore:
        raise Killed

    with pytest.raises(Killed):
        rollback(published.root, die, why="the reason")
    assert (published.current, published.champion) == (2, "3")
    found = published.back()
    assert found.resumed
    assert found.step.why == "the reason"
    assert (published.current, published.champion) == (2, "2")
    assert published.client.tags["encoder", "2"]["rollback.why"] == "the reason"
    assert not published.back().resumed
    assert published.current == 1


def test_killed_before_the_bundle_moved_it_is_done_by_the_next(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Releases, version: str) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Releases, "switch", die)
        with pytest.raises(Killed):
            published.back()
    assert (published.current, published.champion) == (3, "3")
    assert published.back().resumed
    assert (published.current, published.champion) == (2, "2")


def test_what_was_published_since_makes_a_killed_one_void(published: Published) -> None:
    def die() -> TrackingStore:
        raise Killed

    with pytest.raises(Killed):
        rollback(published.root, die)
    newest = published.run.publish(4).manifest.version
    follow_bundle(published.root, published.store, "items")
    assert published.champion == "4"
    found = published.back()
    assert (found.resumed, found.step.before) == (False, newest)
    # The oldest of three that are kept is gone; the one before the newest is the third.
    assert (published.current, published.champion) == (3, "3")


def test_a_registry_that_does_not_answer_is_mended_by_calling_again(published: Published) -> None:
    def refuse() -> TrackingStore:
        raise TrackingError("cannot reach the tracking server")

    with pytest.raises(TrackingError, match=r"is current again, but .* run streamrec rollback again"):
        rollback(published.root, refuse)
    assert (published.current, published.champion) == (2, "3")
    assert published.back().resumed
    assert (published.current, published.champion) == (2, "2")


def test_a_run_that_publishes_waits_and_the_later_of_the_two_decides_both(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def publish() -> None:
        published.run.publish(4)
        follow_bundle(published.root, published.store, "items")
        done.set()

    thread = threading.Thread(target=publish)
    move = module._move

    def slowly(*arguments: object) -> object:
        thread.start()
        assert not done.wait(0.5)
        assert published.current == 2
        return move(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_move", slowly)
    published.back()
    thread.join()
    assert Bundle.open(published.root).manifest.model.version == published.champion == "4"


def test_a_run_whose_bundle_was_rolled_back_meanwhile_does_not_name_its_own_champion(
    published: Published,
) -> None:
    published.run.publish(4)
    published.back()
    assert follow_bundle(published.root, published.store, "items") is not None
    assert (published.current, published.champion) == (3, "3")


def test_a_bundle_of_no_registered_model_moves_alone(run: SmallRun, tmp_path: Path) -> None:
    first, second = (
        publish(tmp_path, run.catalog, run.encoder, run.config.publish, 1).manifest.version for _ in range(2)
    )
    store, client = fake_store("none")
    assert isinstance(store, FakeStore)
    assert isinstance(client, FakeClient)
    found = rollback(tmp_path, lambda: store)
    assert (found.step.before, found.step.after, found.champions) == (second, first, ())
