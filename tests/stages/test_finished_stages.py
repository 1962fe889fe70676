"""What an earlier run made comes back as it was, in the folder of the later one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamrec.config import parse_config
from streamrec.stages.finished import FinishedStages
from streamrec.stages.stage import KeptStage
from streamrec.stages.store import StageStore


@dataclass(frozen=True)
class Made:
    """What the stage under test returns."""

    file: Path
    share: float
    notes: tuple[str, ...]


MADE = KeptStage("made", f"{__name__}:Made", settings=("seed",), inputs=("source",), files=("made.txt",))
READER = KeptStage("reader", "builtins:str", inputs=("made",))


def stages_of(
    out: Path, run: str, seed: int = 1, fresh: bool = False, source: str | None = "s"
) -> FinishedStages:
    config = parse_config({"generate": {}, "seed": seed})
    (out / run).mkdir(parents=True)
    finished = FinishedStages(StageStore(out / "stages", 3), config, out / run, fresh)
    finished.give("source", source)
    return finished


def make(out: Path, run: str, text: str = "rows", **more: Any) -> FinishedStages:
    finished = stages_of(out, run, **more)
    (out / run / "made.txt").write_text(text)
    finished.keep(MADE, Made(out / run / "made.txt", math.nan, (f"read {out / run}", str(out / run))))
    return finished


def test_values_and_files_move_to_the_new_folder(tmp_path: Path) -> None:
    make(tmp_path, "first")
    found = stages_of(tmp_path, "second").find(MADE)
    assert found is not None
    assert found.run == "first"
    assert found.value.file == tmp_path / "second" / "made.txt"
    assert found.value.file.read_text() == "rows"
    assert math.isnan(found.value.share)
    assert found.value.notes == (f"read {tmp_path / 'first'}", str(tmp_path / "second"))


def test_later_stages_depend_on_the_output_and_not_on_how_it_came_about(tmp_path: Path) -> None:
    first, same = make(tmp_path, "first"), make(tmp_path, "same", seed=2)
    again, unknown = stages_of(tmp_path, "again"), make(tmp_path, "unknown", source=None)
    again.find(MADE)
    other = make(tmp_path, "other", "more rows")
    assert first.key(READER) == same.key(READER) == again.key(READER) == unknown.key(READER)
    assert first.key(READER) != other.key(READER)


@pytest.mark.parametrize("change", [{"seed": 2}, {"fresh": True}, {"source": "other"}, {"source": None}])
def test_it_is_done_again_where_something_changed(tmp_path: Path, change: dict[str, Any]) -> None:
    make(tmp_path, "first")
    assert stages_of(tmp_path, "second", **change).find(MADE) is None
    assert list((tmp_path / "second").iterdir()) == []


def test_an_input_that_is_unknown_keeps_nothing(tmp_path: Path) -> None:
    make(tmp_path, "first", source=None)
    assert not (tmp_path / "stages").exists()
    assert stages_of(tmp_path, "second", source=None).unfinished(MADE) is None


def test_a_value_that_holds_no_longer_leaves_no_file_to_be_overwritten(tmp_path: Path) -> None:
    make(tmp_path, "first")
    second = stages_of(tmp_path, "second")
    assert second.find(MADE, lambda value: value.share > 0) is None
    assert list((tmp_path / "second").iterdir()) == []
    (tmp_path / "second" / "made.txt").write_text("other")
    assert (tmp_path / "first" / "made.txt").read_text() == "rows"


def test_a_value_that_its_class_no_longer_takes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "first")

    @dataclass(frozen=True)
    class Later(Made):
        more: int = 0

    Later.__annotations__["more"] = "int"
    monkeypatch.setattr(f"{__name__}.Made", dict[str, int])
    assert stages_of(tmp_path, "second").find(MADE) is None
    assert list((tmp_path / "second").iterdir()) == []
