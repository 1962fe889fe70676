"""Popularity, linear factors, vectors and the choice of a mixture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import ndcg_score

from streamrec.errors import BundleError
from streamrec.interactions.content import ItemContent
from streamrec.interactions.splits import split_by_user
from streamrec.interactions.table import Interactions
from streamrec.models.settings import TwoTowerConfig
from streamrec.models.two_tower import TwoTower
from streamrec.recommenders.content_map import PENALTIES, ContentMap
from streamrec.recommenders.ease import ease
from streamrec.recommenders.judge import Judge
from streamrec.recommenders.linear import LinearFactors
from streamrec.recommenders.popularity import PRIOR_COUNT, Popularity
from streamrec.recommenders.ridge import regress
from streamrec.recommenders.scaling import STEPS, Scaling
from streamrec.recommenders.towers import Mixture, Towers

DAY = 86_400_000_000
NOTHING = np.zeros((30, 5), np.float32)
"""Content of items that are all alike."""


def make_events(
    users: list[int], items: list[int], days: list[float], shape: tuple[int, int]
) -> Interactions:
    times = np.array([round(day * DAY) for day in days], np.int64)
    order = np.argsort(times, kind="stable")
    return Interactions(
        np.array(users, np.int64)[order],
        np.array(items, np.int64)[order],
        times[order],
        np.ones(len(users), np.float32),
        pa.array([f"u{n}" for n in range(shape[0])]),
        pa.array([f"i{n}" for n in range(shape[1])]),
    )


@pytest.fixture(scope="module")
def events() -> Interactions:
    """200 users with ten of 30 items; neighbours in the list go together."""
    rng = np.random.default_rng(0)
    centres = rng.integers(30, size=200)
    items = [(centre + rng.permutation(14)[:10]) % 30 for centre in centres]
    users = np.repeat(np.arange(200), 10)
    return make_events(users.tolist(), np.concatenate(items).tolist(), [0.0] * 2_000, (200, 30))


@pytest.fixture(scope="module")
def content() -> ItemContent:
    rng = np.random.default_rng(1)
    return ItemContent(
        rng.normal(size=(30, 2)).astype(np.float32), rng.normal(size=(30, 3)).astype(np.float32)
    )


def make_towers(events: Interactions, known: int = 25, linear: bool = True) -> Towers:
    torch.manual_seed(0)
    model = TwoTower(known, 5, 0, TwoTowerConfig(dimension=6, hidden=4)).eval()
    rng = np.random.default_rng(2)
    seen = rng.normal(1, 3, size=(known, 5)).astype(np.float32)
    scaling = Scaling.of(seen, seen[:, :0])
    scaled = scaling(seen, seen[:, :0])
    factors = LinearFactors.of(events.select(events.items < known), NOTHING, 10.0, 8, 0) if linear else None
    if factors is not None:
        factors = replace(factors.take(np.arange(known)), new=ContentMap.of(scaled, factors.item[:known]))
    popularity = rng.normal(size=known).astype(np.float32)
    expected = ContentMap.of(scaled, popularity[:, None])
    vocabulary = tuple(f"i{n}" for n in range(known))
    return Towers(model, vocabulary, scaling, popularity, expected, factors)


def test_without_a_half_life_popularity_is_the_log_of_counts() -> None:
    found = Popularity.of(make_events([0, 1, 2], [0, 0, 1], [0, 5, 9], (3, 4)), None)
    counts = np.array([2, 1, 0, 0]) + PRIOR_COUNT
    assert np.allclose(found.now, np.log(counts / counts.sum() * 4))
    assert np.array_equal(found.table, found.now[None])
    assert found.periods.tolist() == [0, 0, 0]


def test_an_event_counts_half_after_the_half_life() -> None:
    """Item 0 was taken 80,000 times two half-lives before item 1 was taken 20,000 times."""
    days = [0.0] * 80_000 + [40.0] * 20_000
    found = Popularity.of(make_events([0] * 100_000, [0] * 80_000 + [1] * 20_000, days, (1, 2)), 20.0)
    # An event counts as one of the middle of its period, a quarter of a half-life long: the first ones half a
    # period less, the last ones half a period more than they are old.
    assert found.now[0] - found.now[1] == pytest.approx(np.log(2) / 4, abs=0.01)
    assert found.periods[0] == 0
    assert found.periods[-1] == len(found.table) - 1 == 7
    shares = np.exp(found.table[0]) / 2
    assert shares[0] == pytest.approx(1, abs=0.001), "item 1 was not there yet"


def test_factors_of_full_rank_are_the_closed_form_off_the_diagonal(events: Interactions) -> None:
    weights = np.asarray(ease(events, 5.0).similarity)
    factors = LinearFactors.of(events, NOTHING, 5.0, 30, 0)
    product = factors.history @ factors.item.T
    off = ~np.eye(30, dtype=bool)
    assert np.abs(product - weights)[off].max() < 1e-4
    narrow = LinearFactors.of(events, NOTHING, 5.0, 4, 0)
    assert narrow.item.shape == (30, 4)
    error = np.linalg.norm((narrow.history @ narrow.item.T - weights)[off])
    assert 1e-3 < error < 0.8 * np.linalg.norm(weights[off])


def test_one_spread_for_all_columns() -> None:
    content = np.array([[0, 0, 5], [2, 0, 5], [0, 0, 5], [2, 8, 5]], np.float32)
    scaled = Scaling.of(content[:, :1], content[:, 1:])(content[:, :1], content[:, 1:])
    assert scaled.shape == (4, 3), "few values: no steps"
    assert np.allclose(scaled.mean(0), 0)
    assert scaled[:, :2].var(0).mean() == pytest.approx(1)
    assert scaled[:, 1].std() > scaled[:, 0].std(), "rare labels are not blown up, frequent ones not shrunk"


def test_a_number_has_a_step_at_each_of_its_quantiles() -> None:
    years = np.arange(1_900, 2_000, dtype=np.float32)[:, None]
    scaling = Scaling.of(np.zeros((100, 0), np.float32), years)
    steps = scaling(np.zeros((100, 0), np.float32), years)[:, 1:]
    assert steps.shape == (100, STEPS)
    assert set(np.unique(steps)) == {0, 1}
    assert (np.diff(steps.sum(1)) >= 0).all()
    assert (steps.mean(0)[1:] < steps.mean(0)[:-1]).all(), "as many items between any two"
    assert steps[-1].all()
    assert not steps[0].any()
    latents = Scaling.of(years, np.zeros((100, 0), np.float32))
    assert len(latents.thresholds) == 0, "latents are smooth"


def test_a_map_leaves_each_item_out_to_find_its_penalty() -> None:
    rng = np.random.default_rng(5)
    content = rng.normal(size=(60, 20)).astype(np.float32)
    noise = rng.normal(size=(60, 1))
    weights = rng.normal(size=(20, 1))
    targets = np.concatenate([3 + content @ weights + 0.01 * noise, noise], 1).astype(np.float32)
    found = ContentMap.of(content, targets)
    for column in range(2):
        errors = []
        for penalty in PENALTIES:
            guesses = []
            for out in range(60):
                kept = np.arange(60) != out
                centre, fitted = regress(content[kept], targets[kept, column : column + 1], penalty)
                guesses.append(targets[kept, column].mean() + (content[out] - centre) @ fitted[:, 0])
            errors.append(((targets[:, column] - guesses) ** 2).sum())
        best = PENALTIES[int(np.argmin(errors))]
        assert best == (PENALTIES[0] if column == 0 else PENALTIES[-1])
        expected = regress(content, targets[:, column : column + 1], best)[1][:, 0]
        assert np.allclose(found.weights[:, column], expected, atol=1e-4)
    assert np.allclose(found(content)[:, 0], targets[:, 0], atol=0.3)


def test_a_map_is_fitted_to_so_many_items_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    content, targets = (rng.normal(size=(61, width)).astype(np.float32) for width in (4, 2))
    monkeypatch.setattr("streamrec.recommenders.content_map.MOST_ITEMS", 31)
    found, expected = ContentMap.of(content, targets), ContentMap.of(content[::2], targets[::2])
    assert np.array_equal(found(content), expected(content))
    assert not np.allclose(found.mean, targets.mean(0))


def test_a_new_item_has_the_factors_of_its_content(events: Interactions) -> None:
    """Content that tells the items apart by who takes them: a new item is taken by the same users."""
    known = events.select((events.items != 0) & (events.items != 29))
    content = LinearFactors.of(events, NOTHING, 5.0, 4, 0).item
    factors = LinearFactors.of(known, content, 5.0, 8, 0)
    expected = factors.new(content[[0, 29]])
    assert np.array_equal(factors.item[[0, 29]], expected)
    assert np.abs(expected).max() > 1e-3


def test_scores_are_the_mixed_sum_of_the_parts(events: Interactions, content: ItemContent) -> None:
    towers, ids = make_towers(events), [f"i{n}" for n in range(30)]
    parts = towers.item_parts(content.latents, content.features, ids)
    histories = [np.array([0, 3, 29]), np.array([], np.int64), np.array([7])]
    mixed = towers.mixed(Mixture(0.5, 3.0, 1.5))
    users = mixed.user_vectors(histories, content.latents, content.features, ids)
    items = mixed.item_vectors(content.latents, content.features, ids)
    assert users.shape == (3, towers.dimension)
    assert items.shape == (30, towers.dimension)
    assert towers.linear is not None
    history = np.zeros((3, 25), np.float32)
    history[0, [0, 3]] = history[2, 7] = 1  # item 29 was not trained on
    new = towers.scaling(content.latents[25:], content.features[25:])
    factors = np.concatenate([towers.linear.item, towers.linear.new(new)])
    linear = history @ towers.linear.history @ factors.T
    popularity = np.concatenate([towers.popularity, towers.expected(new)[:, 0]])
    expected = 0.5 * users[:, :6] @ parts.learned.T + 3.0 * linear + 1.5 * popularity
    assert np.allclose(users @ items.T, expected, atol=1e-4)


def test_a_user_has_the_same_vector_alone_and_among_others(
    events: Interactions, content: ItemContent
) -> None:
    towers, ids = make_towers(events), [f"i{n}" for n in range(30)]
    histories = [np.array(h, np.int64) for h in ([1, 2], [5], [], [29, 4, 0, 9])]
    whole = towers.user_vectors(histories, content.latents, content.features, ids)
    for row, history in enumerate(histories):
        alone = towers.user_vectors([history], content.latents, content.features, ids)
        assert np.allclose(alone[0], whole[row], atol=1e-6)


@pytest.mark.parametrize("linear", [True, False])
def test_saved_towers_make_the_same_vectors(
    events: Interactions, content: ItemContent, tmp_path: Path, linear: bool
) -> None:
    towers, ids = (
        make_towers(events, linear=linear).mixed(Mixture(0.2, 4.0, 0.8)),
        [f"i{n}" for n in range(30)],
    )
    for folder in ("a", "b"):
        towers.save(tmp_path / folder)
    again = Towers.load(tmp_path / "a")
    assert again.mixture == towers.mixture
    for one, other in zip(
        (again.item_vectors(content.latents, content.features, ids),),
        (towers.item_vectors(content.latents, content.features, ids),),
        strict=True,
    ):
        assert np.array_equal(one, other)
    for name in ("towers.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_broken_towers_are_refused(events: Interactions, tmp_path: Path) -> None:
    make_towers(events).save(tmp_path)
    text = (tmp_path / "towers.json").read_text()
    (tmp_path / "towers.json").write_text(text.replace('"two_tower"', '"three_tower"'))
    with pytest.raises(BundleError, match="found format 2 of 'three_tower', expected 2 of 'two_tower'"):
        Towers.load(tmp_path)
    (tmp_path / "towers.json").write_text(text.replace('"i3",', ""))
    with pytest.raises(BundleError, match="is broken"):
        Towers.load(tmp_path)
    with pytest.raises(BundleError, match="cannot read the towers"):
        Towers.load(tmp_path / "nothing")


def test_score_is_ndcg_and_recall_of_what_is_not_seen(events: Interactions) -> None:
    judge = Judge.of(split_by_user(events, 0.2, 0.2, 0), 0)
    scores = np.random.default_rng(3).random((len(judge.users), 30)).astype(np.float32)
    ndcg, recall = [], []
    for row, (seen, wanted) in enumerate(zip(judge.masked, judge.relevant, strict=True)):
        left = ~seen
        ndcg.append(ndcg_score(wanted[left][None].astype(int), scores[row][left][None], k=10))
        best = np.argsort(-np.where(left, scores[row], -1))[:20]
        recall.append(wanted[best].sum() / wanted.sum())
    assert judge.score(scores) == pytest.approx(np.sqrt(np.mean(ndcg) * np.mean(recall)), abs=1e-6)


def test_the_mixture_turns_to_the_part_that_knows(events: Interactions, content: ItemContent) -> None:
    split = split_by_user(events, 0.2, 0.2, 0)
    judge, ids = Judge.of(split, 0), split.train.item_ids.to_pylist()
    penalty, factors = judge.linear(split.train, NOTHING, (1.0, 30.0), 16, 0)
    assert penalty in (1.0, 30.0)
    towers = replace(make_towers(events, known=30), linear=factors)  # the learned part is drawn at random
    mixture, score = judge.mixture(towers, content, ids, None)
    alone, learned = judge.mixture(replace(towers, linear=None), content, ids, None)
    assert mixture.linear > 0
    assert alone.linear == 0
    assert score > learned + 0.05
