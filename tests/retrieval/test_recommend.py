from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundles import make_catalog, publish_small
from small_towers import PlainTowers, make_content, make_seen, publish_with_towers

from streamrec.errors import BundleError
from streamrec.retrieval import tower_search
from streamrec.retrieval.bundle import Bundle
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.recommend import Recommendations
from streamrec.retrieval.write_towers import seen_by


@pytest.fixture(scope="module", params=["flat", "ivf"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp(request.param)
    # A recall that one probed list reaches: what is exact must be so by the way it is searched.
    return publish_with_towers(
        folder, make_catalog(folder / "catalog.parquet"), index=request.param, min_recall=0.1
    )


@pytest.fixture(scope="module")
def recommendations(bundle: Bundle) -> Recommendations:
    return bundle.recommender


@pytest.fixture(scope="module")
def products(bundle: Bundle) -> np.ndarray:
    """(60, 200) inner products by definition, in float64."""
    content, seen = make_content(bundle), make_seen(bundle)
    towers = PlainTowers()
    items = towers.item_vectors(content.latents, content.features, range(200))
    histories = [seen_by(seen).row(user) for user in range(60)]
    users = towers.user_vectors(histories, content.latents, content.features, range(200), None)
    return users.astype(np.float64) @ items.astype(np.float64).T


@pytest.fixture(scope="module")
def seen(bundle: Bundle) -> np.ndarray:
    """(60, 200) bool."""
    events = make_seen(bundle)
    mask = np.zeros((60, 200), dtype=bool)
    mask[events.users, events.items] = True
    return mask


def expected(products: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """Scores of the `k` best allowed items, fewer where there are fewer."""
    return -np.sort(-products[allowed])[:k]


@pytest.mark.parametrize("k", [1, 10, 150, 400])
@pytest.mark.parametrize("where", [None, {"genre": "drama", "year": [1990, 1993]}])
def test_a_user_gets_the_best_items_not_yet_seen(
    k: int, where: Any, recommendations: Recommendations, products: np.ndarray, seen: np.ndarray
) -> None:
    kept = recommendations.items.mask(where) if where else np.ones(200, dtype=bool)
    for user in (1, 2, 30, 59):
        found = recommendations.for_user(f"user-{user:03d}", k, where, exclude_seen=True)
        allowed = kept & ~seen[user]
        np.testing.assert_allclose(found.scores, expected(products[user], allowed, k), atol=1e-4)
        assert allowed[found.positions].all()
        assert len(set(found.ids)) == len(found) == min(k, allowed.sum())
        np.testing.assert_allclose(products[user][found.positions], found.scores, atol=1e-4)


def test_seen_items_come_too_unless_they_are_to_be_left_out(
    recommendations: Recommendations, products: np.ndarray, seen: np.ndarray
) -> None:
    found = recommendations.for_user("user-002", 200)
    np.testing.assert_allclose(found.scores, -np.sort(-products[2]), atol=1e-4)
    assert seen[2][found.positions].any()
    only = recommendations.for_user("user-002", 200, {"genre": "war"})
    assert {row["genre"] for row in only.items.to_pylist()} == {"war"}
    assert len(only) == recommendations.items.mask({"genre": "war"}).sum()


@pytest.mark.parametrize("where", [None, {"genre": "drama"}])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_a_batch_is_what_each_user_gets_alone(
    where: Any, exclude_seen: bool, recommendations: Recommendations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tower_search, "_CELLS", 500)
    batch = recommendations.for_users(None, 40, where, exclude_seen)
    assert batch.user_ids.to_pylist() == [f"user-{user:03d}" for user in range(60)]
    table = batch.table().to_pydict()
    at = 0
    for user in range(60):
        alone = recommendations.for_user(f"user-{user:03d}", 40, where, exclude_seen)
        rows = slice(at, at + len(alone))
        assert table["user_id"][rows] == [f"user-{user:03d}"] * len(alone)
        assert table["rank"][rows] == list(range(1, len(alone) + 1))
        np.testing.assert_allclose(table["score"][rows], alone.scores, atol=1e-4)
        if user:  # the first user's vector is zero: any order will do
            assert set(table["item_id"][rows]) == set(alone.ids)
        at += len(alone)
    assert at == len(table["rank"])


def test_users_of_a_batch_are_those_asked_for(recommendations: Recommendations) -> None:
    some = recommendations.for_users(["user-009", "user-003", "user-009"], 5)
    every = recommendations.for_users(None, 5)
    assert some.user_ids.to_pylist() == ["user-009", "user-003", "user-009"]
    if recommendations.towers.item_index.kind == "flat":
        np.testing.assert_array_equal(some.positions, every.positions[[9, 3, 9]])


@given(
    st.lists(st.lists(st.integers(0, 199), max_size=210), min_size=1, max_size=30),
    st.integers(1, 210),
    st.integers(0, 2**16),
)
def test_whatever_is_left_out_the_rest_is_exact(left: list[list[int]], k: int, seed: int) -> None:
    towers = _TOWERS["flat"]
    random = np.random.default_rng(seed)
    queries = random.normal(size=(len(left), 6)).astype(np.float32)
    rows = random.random(200) < 0.5 if seed % 2 else None
    without = Lists.of([np.array(own, dtype=np.int64) for own in left])
    scores, positions = towers.items_for(queries, k, rows, without)
    items = towers.item_index.vectors(np.arange(200))
    for query, own, found, row in zip(queries, left, scores, positions, strict=True):
        allowed = np.ones(200, dtype=bool) if rows is None else rows.copy()
        allowed[own] = False
        best = expected(items @ query, allowed, k)
        np.testing.assert_allclose(found[: len(best)], best, atol=1e-4)
        assert allowed[row[: len(best)]].all()
        assert (row[len(best) :] == -1).all()
        assert np.isneginf(found[len(best) :]).all()


_TOWERS: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _keep(bundle: Bundle) -> None:
    _TOWERS.setdefault(bundle.recommender.towers.item_index.kind, bundle.recommender.towers)


def test_users_like_a_user_point_the_same_way(recommendations: Recommendations) -> None:
    vectors = recommendations.towers.user_index.vectors(np.arange(60)).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors[1:] @ vectors[7] / (lengths[1:] * lengths[7])
    cosines[6] = -np.inf
    found = recommendations.users_like("user-007", 5)
    assert found.ids == [f"user-{1 + at:03d}" for at in np.argsort(-cosines)[:5]]
    np.testing.assert_allclose(found.scores, np.sort(cosines)[::-1][:5], atol=1e-5)
    assert len(recommendations.users_like("user-007", 1_000)) == 59


def test_an_item_suits_the_users_with_the_highest_products(
    recommendations: Recommendations, products: np.ndarray
) -> None:
    vector = recommendations.towers.item_index.vectors(np.array([17]))
    found = recommendations.users_for_vectors(vector, 60)[0]
    np.testing.assert_allclose(found.scores, -np.sort(-products[:, 17]), atol=1e-4)
    if recommendations.towers.user_index.kind == "flat":
        assert recommendations.users_for("item-0017", 5).ids == found.ids[:5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.for_user("user-07"), r"no user 'user-07'; did you mean 'user-0"),
        (lambda r: r.for_users(["user-007", "nobody"]), "no user 'nobody'"),
        (lambda r: r.for_user("user-007", 0), "k: found 0"),
        (lambda r: r.users_like("user-007", 0), "k: found 0"),
        (lambda r: r.for_user("user-007", 5, {"genre": "opera"}), "no item has 'opera' in 'genre'"),
        (lambda r: r.for_vectors(np.ones((1, 5))), r"found shape \(1, 5\), expected \(q, 6\)"),
        (lambda r: r.for_vectors(np.full((2, 6), np.nan)), "vector 0 is not finite"),
        (lambda r: r.history(["item-0001", "item-9999"]), "no item 'item-9999'"),
        (lambda r: r.history([]), "history: found no item"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    call: Any, message: str, recommendations: Recommendations
) -> None:
    with pytest.raises(BundleError, match=message):
        call(recommendations)


def test_a_bundle_of_items_alone_recommends_to_no_user(tmp_path: Path) -> None:
    bundle = publish_small(tmp_path / "published", make_catalog(tmp_path / "catalog.parquet"))
    assert bundle.recommendations is None
    with pytest.raises(BundleError, match="recommends to no user"):
        _ = bundle.recommender
