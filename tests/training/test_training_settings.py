"""Bounds of the training settings."""

from __future__ import annotations

import pytest

from streamrec.training.settings import TrainConfig


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"max_rows": 0},
        {"checkpoint_every": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"weight_decay": -1e-3},
        {"clip_norm": 0.0},
        {"ema_decay": 0.0},
        {"ema_decay": 1.0},
        {"validation_share": 0.0},
        {"validation_share": 1.0},
        {"patience": 0},
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        TrainConfig(**setting)


def test_corners_within_the_bounds_are_accepted() -> None:
    TrainConfig(epochs=1, batch_size=2, warmup=0, clip_norm=None, patience=None, ema_decay=0.999)
