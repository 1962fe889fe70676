"""A training process that is killed, and goes on as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file

CODE = """
import sys
from pathlib import Path

import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from small_items import elbo, items, weights
from safetensors.torch import save_file
from streamrec.training.loop import fit
from streamrec.training.settings import TrainConfig

config = TrainConfig(
    epochs=25, batch_size=32, patience=None, ema_decay=0.9, checkpoint_every=1, device="cpu"
)
objective = elbo(hidden=(64, 64))
said = [lambda epoch: print(int(epoch["epoch"]), flush=True)]
history = fit(objective, items(1_000), items(100, seed=1), config, 0, said, Path(sys.argv[2]))
save_file(weights(objective), sys.argv[3])
print("resumed from", history.resumed_from, flush=True)
"""


def start(checkpoints: Path, result: Path) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", CODE, here, str(checkpoints), str(result)], stdout=subprocess.PIPE, text=True
    )


def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, result, checkpoints = tmp_path / "whole", tmp_path / "result", tmp_path / "checkpoints"
    reference, killed = start(tmp_path / "other", whole), start(checkpoints, result)
    assert killed.stdout is not None
    reached = next(int(line) for line in killed.stdout if int(line) >= 3)
    time.sleep(random.Random().uniform(0, 0.1))
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, "it ended before it was killed"
    assert not result.exists()

    said, _ = start(checkpoints, result).communicate(timeout=240)
    reference.communicate(timeout=240)
    first, *_, last = said.splitlines()
    assert int(last.removeprefix("resumed from ")) == int(first) - 1 >= reached
    expected, found = load_file(whole), load_file(result)
    assert expected.keys() == found.keys()
    assert all(expected[name].equal(found[name]) for name in expected)
