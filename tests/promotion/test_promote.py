"""A challenger that was refused is published by force, or because its gates hold by now."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fake_registry import FakeClient, fake_store
from small_runs import SmallRun, train

from streamrec.cli import app, main
from streamrec.config import load_config
from streamrec.errors import ConfigError, NotPromotedError
from streamrec.promotion.aliases import TAKEN_BACK
from streamrec.promotion.challenger import CONFIG, Challenger
from streamrec.promotion.decision import Decision, Row
from streamrec.promotion.promote import find_challenger, promote_challenger
from streamrec.promotion.refusal import refusal
from streamrec.promotion.rollback import rollback
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.manifest import ModelSource
from streamrec.runs import Run

FAILED = Decision.of((Row(gate="purity of channel", outcome="failed", reason="lower"),), "v1")


def refused(run: SmallRun, version: int) -> Run:
    """The run's folder as a flow leaves it whose challenger was refused."""
    model = ModelSource(name="encoder", version=str(version))
    Challenger(part="items", model=model, quality={"active_units": 16.0}).write(run.folder, run.config)
    FAILED.write(run.folder)
    return Run(run.folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallRun, SmallRun, SmallRun]:
    """A champion, another one as good, and one that was hardly trained."""
    out = tmp_path_factory.mktemp("promote")
    return train(out, "champion"), train(out, "good", seed=2), train(out, "bad", seed=3, epochs=1)


@pytest.fixture
def runs(
    trained: tuple[SmallRun, SmallRun, SmallRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, Run], FakeClient]:
    """The champion published as version 1, the others refused as versions 2 and 3; their registry."""
    store, client = fake_store(str(tmp_path), encoder=3)
    monkeypatch.setattr("streamrec.promotion.promote.prepare_store", lambda config: store)
    out = tmp_path / "data"
    shutil.copytree(trained[0].folder.parents[1], out, symlinks=True)
    moved = [replace(run, folder=out / "runs" / run.folder.name) for run in trained]
    moved[0].publish(1)
    return out, {run.folder.name: refused(run, i) for i, run in enumerate(moved[1:], 2)}, client


def test_a_bad_one_is_refused_again_and_what_is_published_stays(
    runs: tuple[Path, dict[str, Run], FakeClient],
) -> None:
    out, found, client = runs
    before = Bundle.open(out / "published").manifest.version
    with pytest.raises(NotPromotedError, match=r"variance kept below the gate.*--force --why") as caught:
        promote_challenger(out, found["bad"])
    assert "variance kept" in caught.value.decision
    assert Bundle.open(out / "published").manifest.version == before
    assert client.aliases == {}
    assert [row.gate for row in Decision.read(found["bad"].folder).failed] == ["variance kept"]


def test_by_force_it_is_published_and_the_reason_is_everywhere(
    runs: tuple[Path, dict[str, Run], FakeClient],
) -> None:
    out, found, client = runs
    promoted = promote_challenger(out, found["bad"], "numbers no longer matter")
    manifest = Bundle.open(out / "published").manifest
    assert promoted.bundle.manifest == manifest
    assert (manifest.model.version, client.aliases["encoder", "champion"]) == ("3", "3")
    assert manifest.config is not None
    assert manifest.config["promotion.items"] == {
        "forced": True,
        "why": "numbers no longer matter",
        "failed": ["variance kept"],
    }
    assert manifest.quality == {"active_units": 16.0}
    decision = Decision.read(found["bad"].folder)
    assert (decision.forced, decision.why) == (True, "numbers no longer matter")
    tags = client.tags["encoder", "3"]
    assert (tags["promotion"], tags["promotion.why"]) == ("forced", "numbers no longer matter")
    assert tags["bundle"] == manifest.version
    with pytest.raises(ConfigError, match="published already"):
        promote_challenger(out, found["bad"])


def test_one_whose_gates_hold_by_now_needs_no_force(
    runs: tuple[Path, dict[str, Run], FakeClient],
) -> None:
    out, found, client = runs
    promoted = promote_challenger(out, found["good"])
    assert (promoted.decision.promoted, promoted.decision.forced) == (True, False)
    manifest = Bundle.open(out / "published").manifest
    assert manifest.model.version == client.aliases["encoder", "champion"] == "2"
    assert manifest.config is not None
    assert "promotion.items" not in manifest.config
    assert "profile.json" in manifest.files


def test_one_that_was_rolled_back_needs_force(runs: tuple[Path, dict[str, Run], FakeClient]) -> None:
    out, found, client = runs
    promote_challenger(out, found["good"])
    store, _ = fake_store("other", encoder=3)
    store.clients["other"] = client
    rollback(out / "published", lambda: store, why="complaints")
    assert client.aliases["encoder", "champion"] == "1"
    with pytest.raises(NotPromotedError, match="not rolled back below the gate"):
        promote_challenger(out, found["good"])
    promote_challenger(out, found["good"], "the complaints were about something else")
    assert client.aliases["encoder", "champion"] == "2"
    assert TAKEN_BACK not in client.tags["encoder", "2"]


def test_the_run_is_the_newest_refused_or_named_or_of_that_version(
    runs: tuple[Path, dict[str, Run], FakeClient],
) -> None:
    out, found, _ = runs
    assert find_challenger(out) == found["good"]  # by name, which is the time in real runs
    assert find_challenger(out, "bad") == find_challenger(out, "3") == found["bad"]
    with pytest.raises(ConfigError, match="no run 'bat', nor one of version bat; did you mean 'bad'"):
        find_challenger(out, "bat")
    towers = Challenger(part="towers", model=ModelSource(name="two-tower", version="3"), quality={})
    shutil.copytree(found["good"].folder, out / "runs" / "towers")
    (out / "runs" / "towers" / "challenger.json").write_text(towers.model_dump_json())
    with pytest.raises(ConfigError, match=r"version 3 could be of .*; name the run: bad or towers"):
        find_challenger(out, "3")
    for folder in ("good", "bad", "towers"):
        Decision.of(()).write(out / "runs" / folder)
    with pytest.raises(ConfigError, match="no run whose challenger was refused"):
        find_challenger(out)


@pytest.mark.parametrize("words", [["--force"], ["--why", "x"], ["--force", "--why", " "]])
def test_force_and_a_reason_go_together(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="--force --why TEXT"):
        app(["promote", *words], standalone_mode=False)


@pytest.mark.parametrize(
    ("uri", "kept"),
    [("postgresql://me:secret@host/db", False), ("http://host:5000", True), ("sqlite:///a/b.db", True)],
)
def test_settings_in_the_folder_hold_no_password(
    trained: tuple[SmallRun, SmallRun, SmallRun], tmp_path: Path, uri: str, kept: bool
) -> None:
    config = trained[0].config
    config = config.model_copy(update={"track": config.track.model_copy(update={"uri": uri})})
    Challenger(part="items", model=ModelSource(), quality={}).write(tmp_path, config)
    text = (tmp_path / CONFIG).read_text()
    assert (uri in text) == kept
    assert "secret" not in text
    assert load_config(tmp_path / CONFIG).seed == config.seed


def test_a_command_whose_challenger_is_refused_prints_the_decision_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise refusal(FAILED, "20260101T000000Z-abcd", tmp_path)

    monkeypatch.setattr("streamrec.cli.app", refuse)
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert told.out.startswith("Not promoted: 1 of 1 gates do not hold: purity of channel.\n\ngate ")
    assert told.err == (
        "error: run 20260101T000000Z-abcd: not promoted, what was published stays: purity of channel below "
        "the gate; find out why, or publish it all the same: streamrec promote 20260101T000000Z-abcd --force "
        f"--why REASON --out {tmp_path}\n"
    )
