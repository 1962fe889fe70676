from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.stages import Stages, alone, listening
from streamrec.config import parse_config
from streamrec.errors import RunLockedError
from streamrec.stages.stage import KeptStage


class Recorder:
    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def started(self, stage: str) -> None:
        self.heard.append(("started", stage))

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        self.heard.append(("advanced", stage, done, total))

    def finished(self, stage: str, seconds: float) -> None:
        self.heard.append(("finished", stage))

    def reused(self, stage: str, seconds: float, source: str) -> None:
        self.heard.append(("reused", stage, source))

    def told(self, line: str) -> None:
        self.heard.append(("told", line))


MADE = KeptStage("made", "builtins:dict", settings=("seed",), files=("made.txt",))


def run_once(out: Path, fails: bool = False, **settings: Any) -> tuple[Recorder, Path, Stages]:
    """A run of one stage that is kept and one that is not."""
    recorder = Recorder()
    config = parse_config({"generate": {}, "out": str(out), **settings})
    with listening(recorder), alone("test", config) as (folder, stages):
        folder.mkdir(parents=True)

        def make() -> dict[str, int]:
            (folder / "made.txt").write_text(folder.name)
            if fails:
                raise ZeroDivisionError
            return {"seed": config.seed}

        with stages("make"):
            assert stages.kept(MADE, make) == {"seed": config.seed}
        with stages("show"):
            pass
    return recorder, folder, stages


def test_a_listener_hears_stages_and_progress_in_order() -> None:
    recorder = Recorder()
    with listening(recorder):
        stages = Stages()
        with stages("read") as progress:
            progress(1, 2)
            progress(2, None)
        with stages("write"):
            pass
    assert recorder.heard == [
        ("started", "read"),
        ("advanced", "read", 1, 2),
        ("advanced", "read", 2, None),
        ("finished", "read"),
        ("started", "write"),
        ("finished", "write"),
    ]
    assert list(stages.seconds) == ["read", "write"]


def test_a_stage_that_fails_is_not_reported_as_finished() -> None:
    recorder = Recorder()
    with listening(recorder):
        stages = Stages()
        with pytest.raises(ZeroDivisionError), stages("read"):
            raise ZeroDivisionError
    assert recorder.heard == [("started", "read")]
    assert stages.seconds == {}


def test_a_stage_that_is_finished_is_not_done_again_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_once(tmp_path, fails=True)
    first, made, stages = run_once(tmp_path)
    assert first.heard[:2] == [("started", "make"), ("finished", "make")], "what failed counts for nothing"
    assert stages.reused == {}
    second, folder, stages = run_once(tmp_path, fails=True)
    assert second.heard[:2] == [("started", "make"), ("reused", "make", f"run {made.name}")]
    assert second.heard[2:] == [("started", "show"), ("finished", "show")]
    assert (folder / "made.txt").read_text() == made.name
    assert stages.reused == {"make": f"run {made.name}"}
    assert stages.seconds.keys() == {"make", "show"}


@pytest.mark.parametrize("change", [{"seed": 2}, {"stages": {"fresh": True}}])
def test_it_is_done_again_where_a_setting_says_so(tmp_path: Path, change: dict[str, Any]) -> None:
    run_once(tmp_path)
    _, folder, stages = run_once(tmp_path, **change)
    assert stages.reused == {}
    assert (folder / "made.txt").read_text() == folder.name


def test_a_block_with_something_done_again_is_not_reused() -> None:
    recorder = Recorder()
    with listening(recorder):
        stages = Stages()
        with stages("both"):
            assert stages.adopted("there", lambda found: found, lambda: "made") == "there"
            assert stages.adopted(None, str, lambda: "made") == "made"
        with stages("one"):
            stages.adopted("there", lambda found: found, lambda: "made")
    assert stages.reused == {"one": "there"}
    assert recorder.heard[-1] == ("reused", "one", "there")


def test_a_run_is_alone_in_its_folder(tmp_path: Path) -> None:
    settings = {"stages": {"wait_minutes": 0}}
    config = parse_config({"generate": {}, "out": str(tmp_path), **settings})
    # A thread is another run: it knows nothing of what this one holds.
    with listening(Recorder()), alone("first", config), ThreadPoolExecutor(1) as other:
        second = other.submit(run_once, tmp_path, **settings)
        with pytest.raises(RunLockedError, match=r"first .* is at work there"):
            second.result()
    run_once(tmp_path, **settings)
