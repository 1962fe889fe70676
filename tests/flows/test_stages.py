from __future__ import annotations

import pytest

from flows.stages import Stages, listening


class Recorder:
    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def started(self, stage: str) -> None:
        self.heard.append(("started", stage))

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        self.heard.append(("advanced", stage, done, total))

    def finished(self, stage: str, seconds: float) -> None:
        self.heard.append(("finished", stage))


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
