"""Models and training in an interpreter that has torch and nothing else of the stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import sys

ABSENT = {"numpy", "pandas", "pyarrow", "pydantic", "mlflow", "prefect", "safetensors", "faiss", "yaml"}

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in ABSENT else self.finder.find_spec(name, path, target)

sys.meta_path = [Without(finder) for finder in sys.meta_path]
sys.path.insert(0, sys.argv[1])
import warnings
warnings.simplefilter("ignore")

from small_items import elbo, items
from streamrec.training.loop import fit
from streamrec.training.settings import TrainConfig

objective = elbo()
history = fit(objective, items(100), items(20, seed=1), TrainConfig(epochs=2, batch_size=32, device="cpu"), 0)
assert len(history.epochs) == 2
assert objective.module.embed(items(5)).shape == (5, 3)
assert not ABSENT & sys.modules.keys(), ABSENT & sys.modules.keys()
print("trained")
"""


def test_two_epochs_without_numpy_or_any_other_package() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(Path(__file__).parent)], capture_output=True, text=True, timeout=240
    )
    assert done.stdout == "trained\n", done.stderr
