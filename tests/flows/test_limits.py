from __future__ import annotations

import signal
import threading
import time

import pytest

from flows.limits import time_limit
from flows.stages import Stages, listening
from streamrec.console import StageDisplay
from streamrec.errors import TimeLimitError
from streamrec.stages.settings import StagesConfig


def work_for_ever() -> None:
    while True:
        time.sleep(0.01)


def test_a_block_that_takes_too_long_is_interrupted() -> None:
    with pytest.raises(TimeLimitError, match="too long"), time_limit(0.05, "too long"):
        work_for_ever()


def test_a_block_in_time_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60, "too long"):
        assert signal.getsignal(signal.SIGALRM) != before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_another_thread_is_left_alone() -> None:
    done: list[bool] = []

    def work() -> None:
        with time_limit(0.01, "too long"):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({"stage_minutes": 0.001}, "stages.stage_minutes"),
        ({"run_minutes": 0.001}, "stages.run_minutes"),
    ],
)
def test_the_setting_that_ended_a_stage_is_named(limits: dict[str, float], setting: str) -> None:
    with listening(StageDisplay()):
        stages = Stages(limits=StagesConfig(**limits))
    with pytest.raises(TimeLimitError, match=f"train: takes longer than {setting}"), stages("train"):
        work_for_ever()
