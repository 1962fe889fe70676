"""A finished output is there whole, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamrec.stages.store import FILES, RECORD, StageStore

VALUE = {"rows": 3, "share": 0.1, "names": ["a", "b"], "nothing": None}


def run_folder(path: Path, text: str = "rows") -> Path:
    (path / "model").mkdir(parents=True)
    (path / "model" / "weights").write_text(text)
    (path / "history.json").write_text("[]")
    (path / "of-another-stage").write_text("x")
    return path


def put(store: StageStore, key: str, folder: Path) -> None:
    store.put("train", key, folder.name, folder, ["model", "history.json", "not-there"], VALUE)


def test_an_output_comes_back_with_its_files(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", keep=3)
    put(store, "k1", run_folder(tmp_path / "first"))
    found = store.find("train", "k1")
    assert found is not None
    assert (found.value, found.run) == (VALUE, "first")
    assert set(found.files) == {"model/weights", "history.json"}
    (tmp_path / "second").mkdir()
    found.link_into(tmp_path / "second")
    assert (tmp_path / "second" / "model" / "weights").read_text() == "rows"
    assert not (tmp_path / "second" / "of-another-stage").exists()
    assert store.find("train", "k2") is None
    assert store.find("evaluate", "k1") is None


def test_the_digest_is_that_of_the_files(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", keep=3)
    for name, text in (("a", "rows"), ("b", "rows"), ("c", "other")):
        put(store, name, run_folder(tmp_path / name, text))
    same, again, other = (store.find("train", name) for name in "abc")
    assert same is not None
    assert again is not None
    assert other is not None
    assert same.digest == again.digest != other.digest


@pytest.mark.parametrize("part", [f"{FILES}/model/weights", f"{FILES}/history.json", RECORD])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_what_was_altered_is_not_found_and_can_be_put_again(tmp_path: Path, part: str, how: str) -> None:
    store = StageStore(tmp_path / "stages", keep=3)
    put(store, "k", run_folder(tmp_path / "first"))
    file = tmp_path / "stages" / "train-k" / part
    content = file.read_bytes()
    file.unlink()
    if how != "gone":
        file.write_bytes(content.replace(b"r", b"q", 1) + b" " if how == "changed" else content[:1])
    assert store.find("train", "k") is None
    put(store, "k", run_folder(tmp_path / "second"))
    found = store.find("train", "k")
    assert found is not None
    assert found.run == "second"


def test_the_outputs_used_last_are_kept(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", keep=2)
    for number in range(3):
        folder = run_folder(tmp_path / f"run{number}")
        store.put("evaluate", f"k{number}", folder.name, folder, ["history.json"], VALUE)
        put(store, f"k{number}", folder)
        os.utime(tmp_path / "stages" / f"train-k{number}", (number, number))
        assert store.find("train", "k0") is not None, "used again and again"
    kept = sorted(path.name for path in (tmp_path / "stages").iterdir())
    assert kept == ["evaluate-k1", "evaluate-k2", "train-k0", "train-k2"]


def test_what_goes_on_half_way_is_removed_with_the_output(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stages", keep=2)
    for key in ("k1", "k2", "k3"):
        (store.unfinished("train", key) / "checkpoint").write_text(key)
    assert (store.unfinished("train", "k1") / "checkpoint").read_text() == "k1"
    assert list(store.unfinished("train", "k2", empty=True).iterdir()) == []
    put(store, "k1", run_folder(tmp_path / "run"))
    names = {path.name for path in (tmp_path / "stages").iterdir()}
    assert names == {"train-k1", ".unfinished-train-k2", ".unfinished-train-k3"}


KILLED = """
import os, signal, sys
from pathlib import Path
from streamrec.stages import store

real = getattr(store, sys.argv[1])
def kill(*arguments, **named):
    real(*arguments, **named) if sys.argv[2] == "after" else None
    os.kill(os.getpid(), signal.SIGKILL)
setattr(store, sys.argv[1], kill)
root = Path(sys.argv[3])
store.StageStore(root / "stages", 3).put("train", "k", "killed", root / "run", ["model"], {"rows": 1})
"""


@pytest.mark.parametrize(
    ("step", "when"),
    [("link", "after"), ("checksum", "after"), ("sync_tree", "before"), ("sync_tree", "after")],
)
def test_a_process_killed_while_it_keeps_an_output_leaves_none(tmp_path: Path, step: str, when: str) -> None:
    run_folder(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", KILLED, step, when, str(tmp_path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    store = StageStore(tmp_path / "stages", keep=3)
    assert store.find("train", "k") is None
    put(store, "k", tmp_path / "run")
    assert store.find("train", "k") is not None
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["train-k"], "nothing is left over"
