"""Where a training runs."""

from __future__ import annotations

import pytest
import torch
from small_items import elbo, items

from streamrec.errors import TrainingError
from streamrec.training.device import autocast, resolve_device
from streamrec.training.loop import fit
from streamrec.training.settings import TrainConfig


def test_auto_is_the_best_device_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=cuda: here)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda here=mps: here)
        assert resolve_device("auto").type == expected
        assert resolve_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match=r"train\.device: 'cuda' is not available here; use auto or cpu"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_precision_of_the_forward_pass_on_the_cpu(precision: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(2, 2)
    with autocast(torch.device("cpu"), precision):
        assert layer(torch.ones(1, 2)).dtype == dtype


@pytest.mark.parametrize("options", [{}, {"condition": "colour", "scale": "column", "denoise": 0.1}])
def test_a_training_in_bfloat16_comes_near_one_in_float32(options: dict[str, object]) -> None:
    best = {}
    for precision in ("float32", "bfloat16"):
        config = TrainConfig(epochs=15, batch_size=32, device="cpu", precision=precision)  # type: ignore[arg-type]
        objective = elbo(**options)
        best[precision] = fit(objective, items(300), items(60, seed=1), config, 0).best["valid_loss"]
        assert {p.dtype for p in objective.module.parameters()} == {torch.float32}
    assert best["bfloat16"] == pytest.approx(best["float32"], rel=0.05)
    assert best["bfloat16"] != best["float32"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_training_on_cuda_comes_near_one_on_the_cpu(precision: str) -> None:
    best = {}
    for device in ("cpu", "cuda"):
        config = TrainConfig(epochs=15, batch_size=32, device=device, precision=precision)  # type: ignore[arg-type]
        objective = elbo()
        history = fit(objective, items(300), items(60, seed=1), config, 0)
        best[device] = history.best["valid_loss"]
        assert history.device.startswith(device)
        assert {p.device.type for p in objective.module.parameters()} == {"cpu"}
    assert best["cuda"] == pytest.approx(best["cpu"], rel=0.1)
