from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import SplitError
from streamrec.interactions.settings import SplitConfig
from streamrec.interactions.splits import Split, split, split_by_item, split_by_time, split_by_user
from streamrec.interactions.table import Interactions

KINDS = ("time", "user", "item")


def made(users: object, items: object, times: object) -> Interactions:
    """Events in time order; their weight is their number, to tell them apart."""
    u, i, t = (np.asarray(values, np.int64) for values in (users, items, times))
    order = np.lexsort((i, u, t))
    weights = np.arange(len(u), dtype=np.float32)
    ids = (pa.array(np.arange(int(np.max(column, initial=0)) + 2)) for column in (u, i))
    return Interactions(u[order], i[order], t[order], weights, *ids)


@st.composite
def events(draw: st.DrawFn) -> Interactions:
    """40 to 200 events of few users, items and times: repeats and ties are common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, users, items, times = draw(
        st.tuples(st.integers(40, 200), st.integers(2, 30), st.integers(20, 40), st.integers(2, 60))
    )
    found = made(rng.integers(users, size=n), rng.integers(items, size=n), rng.integers(times, size=n))
    return found if found.times.min() < found.times.max() else made(found.users, found.items, np.arange(n))


def pairs(part: Interactions) -> set[tuple[int, int]]:
    return set(zip(part.users.tolist(), part.items.tolist(), strict=True))


def same(one: Split, other: Split) -> bool:
    return all(
        np.array_equal(getattr(one, part).weights, getattr(other, part).weights)
        for part in ("train", "validation", "test")
    )


@given(events(), st.sampled_from(KINDS), st.integers(0, 9))
def test_every_event_is_in_one_part_and_parts_stay_in_time_order(
    whole: Interactions, kind: str, seed: int
) -> None:
    found = split(whole, SplitConfig(kind=kind), seed)  # type: ignore[arg-type]
    parts = (found.train, found.validation, found.test)
    numbers = np.concatenate([part.weights for part in parts])
    assert sorted(numbers) == list(range(len(whole)))
    for part in (*parts, found.fit):
        assert np.array_equal(np.lexsort((part.items, part.users, part.times)), np.arange(len(part)))
        assert part.item_ids is whole.item_ids
    assert sorted(found.fit.weights) == sorted([*found.train.weights, *found.validation.weights])


@given(events(), st.sampled_from(KINDS), st.integers(0, 9))
def test_the_same_seed_splits_alike(whole: Interactions, kind: str, seed: int) -> None:
    config = SplitConfig(kind=kind)  # type: ignore[arg-type]
    assert same(split(whole, config, seed), split(whole, config, seed))


@given(events())
def test_by_time_no_part_sees_its_future_and_the_last_events_are_the_test(whole: Interactions) -> None:
    found = split_by_time(whole, 0.2, 0.1)
    assert len(found.test) == len(whole) * 20 // 100
    assert len(found.validation) == len(whole) * 10 // 100
    for before, after in ((found.train, found.validation), (found.fit, found.test)):
        last = (before.times[-1], before.users[-1], before.items[-1])
        assert last <= (after.times[0], after.users[0], after.items[0])


@given(events(), st.randoms(use_true_random=False))
def test_by_time_the_order_of_the_rows_does_not_matter(whole: Interactions, random: object) -> None:
    mixed = np.arange(len(whole))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    one, other = split_by_time(whole, 0.2, 0.1), split_by_time(whole.select(mixed), 0.2, 0.1)
    for part in ("train", "validation", "test"):
        for column in ("users", "items", "times"):
            assert np.array_equal(getattr(getattr(one, part), column), getattr(getattr(other, part), column))


def test_by_time_ties_go_by_user_then_item() -> None:
    found = split_by_time(made([2, 1, 1, 0], [0, 1, 0, 3], [5, 5, 5, 4]), 0.25, 0.25)
    assert pairs(found.test) == {(2, 0)}
    assert pairs(found.validation) == {(1, 1)}
    assert pairs(found.train) == {(0, 3), (1, 0)}


@given(events(), st.integers(0, 9))
def test_by_user_no_item_of_a_user_is_in_two_parts(whole: Interactions, seed: int) -> None:
    found = split_by_user(whole, 0.2, 0.1, seed)
    train, validation, test = (pairs(part) for part in (found.train, found.validation, found.test))
    assert not train & validation
    assert not (train | validation) & test
    for user in range(len(whole.user_ids)):
        count = sum(u == user for u, _ in pairs(whole))
        held_out = sum(u == user for u, _ in test)
        tuned_on = sum(u == user for u, _ in validation)
        assert held_out == min(max(count * 20 // 100, 1), max(count - 1, 0))
        assert tuned_on == min(max(count * 10 // 100, 1), max(count - held_out - 1, 0))


@given(events(), st.integers(0, 9))
def test_by_item_held_out_items_have_no_event_elsewhere(whole: Interactions, seed: int) -> None:
    found = split_by_item(whole, 0.2, 0.1, seed)
    assert found.cold is not None
    assert found.cold_validation is not None
    counts = {name: getattr(found, name).item_counts() for name in ("train", "validation", "test", "fit")}
    assert not counts["fit"][found.cold].any()
    assert not counts["train"][found.cold_validation].any()
    assert (counts["test"] > 0).tolist() == found.cold.tolist()
    assert (counts["validation"] > 0).tolist() == found.cold_validation.tolist()
    items = len(np.unique(whole.items))
    assert (found.cold.sum(), found.cold_validation.sum()) == (items * 20 // 100, items * 10 // 100)


def test_which_items_are_held_out_does_not_depend_on_how_often_they_occur() -> None:
    popular = made(np.repeat(np.arange(100), 10), np.tile(np.repeat([0, 1], 5), 100), np.arange(1_000))
    rare = made(np.arange(98), np.arange(2, 100), np.arange(98))
    columns = {
        name: np.concatenate([getattr(popular, name), getattr(rare, name)])
        for name in ("users", "items", "times", "weights")
    }
    whole = replace(popular, **columns, item_ids=rare.item_ids)
    held_out = [split_by_item(whole, 0.2, 0.1, seed).cold for seed in range(400)]
    shares = np.mean([cold[:100] for cold in held_out if cold is not None], axis=0)
    # Binomial around .2 with a standard deviation of .02.
    assert np.abs(shares - 0.2).max() < 0.1
    assert abs(shares[0] - 0.2) < 0.07
    assert abs(shares[1] - 0.2) < 0.07


@given(events(), st.sampled_from(KINDS), st.integers(0, 9))
def test_statistics_of_training_events_ignore_what_is_held_out(
    whole: Interactions, kind: str, seed: int
) -> None:
    config = SplitConfig(kind=kind)  # type: ignore[arg-type]
    found = split(whole, config, seed)
    held_out = np.isin(whole.weights, found.test.weights)
    marked = replace(whole, weights=np.where(held_out, 1e6, whole.weights).astype(np.float32))
    again = split(marked, config, seed)
    assert np.array_equal(again.fit.weights, found.fit.weights)
    assert np.array_equal(again.fit.matrix().toarray(), found.fit.matrix().toarray())
    assert (again.test.weights == 1e6).all()


def test_another_seed_holds_out_others() -> None:
    rng = np.random.default_rng(0)
    whole = made(rng.integers(20, size=500), rng.integers(60, size=500), np.arange(500))
    for by in (split_by_user, split_by_item):
        assert not same(by(whole, 0.2, 0.1, 0), by(whole, 0.2, 0.1, 1))


@pytest.mark.parametrize(("share", "count", "held_out"), [(0.29, 100, 29), (0.07, 300, 21), (0.1, 30, 3)])
def test_a_share_that_is_whole_is_not_lost_to_rounding(share: float, count: int, held_out: int) -> None:
    found = split_by_time(made(np.zeros(count), np.arange(count), np.arange(count)), share, 0.1)
    assert len(found.test) == held_out


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_is_told_which_split_and_why(kind: str) -> None:
    rng = np.random.default_rng(0)
    day = 86_400_000_000
    whole = made(rng.integers(9, size=100), rng.integers(30, size=100), np.arange(100) * day)
    found = split(whole, SplitConfig(kind=kind), 3)  # type: ignore[arg-type]
    assert found.kind == kind
    assert "20%" in found.why
    assert "10%" in found.why
    assert ("1970-03-22" if kind == "time" else "seed 3") in found.why


def test_events_without_times_cannot_be_split_by_them() -> None:
    with pytest.raises(SplitError, match=r"same time; name the column .*interactions.timestamp"):
        split_by_time(made([0, 1, 2], [0, 1, 2], [0, 0, 0]), 0.2, 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_events_are_refused(kind: str) -> None:
    with pytest.raises(SplitError, match=rf"split.kind {kind}: no events are left for the (test|validation)"):
        split(made([0, 1], [0, 1], [0, 1]), SplitConfig(kind=kind), 0)  # type: ignore[arg-type]
