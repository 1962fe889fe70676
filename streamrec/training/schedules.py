"""Schedules: pure functions of the share of the training that is done, from 0 to 1."""

from __future__ import annotations

import math


def linear_beta(share: float, beta_max: float, warmup: float) -> float:
    """Beta rising linearly from 0 to `beta_max` over the first `warmup` share, then constant."""
    return beta_max if share >= warmup else beta_max * share / warmup


def cyclical_beta(share: float, beta_max: float, warmup: float, cycles: int = 4) -> float:
    """`cycles` linear rises, each followed by a plateau (Fu et al. 2019, "Cyclical Annealing Schedule")."""
    return linear_beta(min(share, 1 - 1e-9) * cycles % 1, beta_max, warmup)


def warmup_cosine(share: float, warmup: float) -> float:
    """Learning-rate factor: linear from 0 over `warmup`, then half a cosine down to 0 at 1."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * (share - warmup) / (1 - warmup)))
