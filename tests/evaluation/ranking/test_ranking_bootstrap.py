"""The bootstrap against the normal theory, its pairing, and its clusters."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.evaluation.ranking.bootstrap import interval, replicate_means


def test_the_interval_of_a_mean_is_that_of_normal_theory() -> None:
    values = np.random.default_rng(0).exponential(size=(500, 1))
    low, high = interval(replicate_means([np.arange(500)], [values], seed=1)[:, 0])
    half = 1.96 * values.std() / np.sqrt(500)
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_pairs_stay_pairs() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=300)
    found = replicate_means([np.arange(300)], [np.stack([first, first + 0.01], axis=1)], seed=1)
    assert found[:, 1] - found[:, 0] == pytest.approx(0.01, abs=1e-6)
    assert found[:, 0].std() > 0.03


def test_a_user_is_drawn_with_all_rows() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    users = np.arange(400)
    single = replicate_means([users], [values], seed=1)
    same = replicate_means([users, users[::-1]], [values, values[::-1]], seed=1)
    assert same == pytest.approx(single, abs=1e-6)
    # Disjoint users under each seed vary on their own, as a sample of twice the size.
    apart = replicate_means([users, users + 400], [values, values], seed=1)
    assert apart.std() == pytest.approx(single.std() / np.sqrt(2), rel=0.1)


def test_samples_weigh_alike_whatever_their_size() -> None:
    found = replicate_means(
        [np.arange(100), np.arange(10)], [np.zeros((100, 1)), np.ones((10, 1))], seed=0, replicates=50
    )
    assert found == pytest.approx(0.5)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamrec.evaluation.ranking import bootstrap

    values = np.random.default_rng(0).normal(size=(50, 2))
    whole = replicate_means([np.arange(50)], [values], seed=3, replicates=40)
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 350)
    assert replicate_means([np.arange(50)], [values], seed=3, replicates=40) == pytest.approx(whole, abs=1e-6)
