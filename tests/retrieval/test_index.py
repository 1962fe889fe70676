from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_bundles import unit

from streamrec.errors import BundleError
from streamrec.retrieval import index as module
from streamrec.retrieval.index import ItemIndex, Metric, exact_search, normalised

ROWS, WIDTH = 3_000, 6
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.normal(size=(12, WIDTH))
    return (centres[random.integers(12, size=ROWS)] + random.normal(size=(ROWS, WIDTH)) / 3).astype(
        np.float32
    )


def in_batches(vectors: np.ndarray, size: int = 700) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: iter([vectors[i : i + size] for i in range(0, len(vectors), size)])


def build(
    kind: str, vectors: np.ndarray, folder: Path, seed: int = 0, metric: Metric = "cosine"
) -> ItemIndex:
    built = ItemIndex.build(kind, in_batches(vectors), len(vectors), vectors.shape[1], seed, metric)  # type: ignore[arg-type]
    built.save(folder / "items.faiss")
    with (folder / "items.faiss").open("rb") as file:
        return ItemIndex.read(file, "items.faiss", built.nprobe, metric)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=finite))
def test_a_normalised_row_has_length_one_or_is_zero_and_keeps_its_direction(rows: np.ndarray) -> None:
    result = normalised(rows)
    length = np.linalg.norm(result.astype(np.float64), axis=1)
    np.testing.assert_allclose(length, rows.any(axis=1).astype(float), atol=1e-6)
    np.testing.assert_allclose(result, unit(rows), atol=1e-6)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**16))
def test_a_streamed_exact_search_is_the_search_of_the_whole(rows: int, batch: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 3)).astype(np.float32)
    queries = random.normal(size=(4, 3)).astype(np.float32)
    k = min(k, rows)
    scores, positions = exact_search(queries, in_batches(matrix, batch)(), k)
    products = queries @ matrix.T
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(scores, np.take_along_axis(products, positions, axis=1), atol=1e-5)


def test_a_flat_index_finds_the_highest_cosines(vectors: np.ndarray, tmp_path: Path) -> None:
    index = build("flat", vectors, tmp_path)
    scores, positions = index.search(normalised(vectors[:50]), 10)
    cosines = unit(vectors[:50]) @ unit(vectors).T
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :10], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(cosines, positions, axis=1), scores, atol=1e-5)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_by_inner_product_vectors_keep_their_length(kind: str, vectors: np.ndarray, tmp_path: Path) -> None:
    index = build(kind, vectors, tmp_path, metric="inner_product")
    np.testing.assert_array_equal(index.vector(7), vectors[7])
    np.testing.assert_array_equal(index.vectors(np.array([3, 9])), vectors[[3, 9]])
    scores, positions = index.search(vectors[:50], 10, exact=True)
    products = vectors[:50] @ vectors.T
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :10], atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(products, positions, axis=1), scores, atol=1e-4)
    by_cosine = build(kind, vectors, tmp_path).search(normalised(vectors[:50]), 10, exact=True)[1]
    assert not np.array_equal(positions, by_cosine)


@pytest.mark.parametrize("queries", [1, 50])
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_search_among_some_rows_is_exact_and_returns_no_others(
    kind: str, queries: int, vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 64)
    index = build(kind, vectors, tmp_path)
    rows = np.random.default_rng(1).random(ROWS) < 0.05
    scores, positions = index.search(normalised(vectors[:queries]), 10, rows)
    cosines = np.where(rows, unit(vectors[:queries]) @ unit(vectors).T, -np.inf)
    assert rows[positions].all()
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :10], atol=1e-5)


@pytest.mark.parametrize("queries", [1, 50])
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_where_fewer_rows_may_be_found_the_rest_says_so(
    kind: str, queries: int, vectors: np.ndarray, tmp_path: Path
) -> None:
    rows = np.zeros(ROWS, dtype=bool)
    rows[[5, 2_000]] = True
    index = build(kind, vectors, tmp_path)
    _, positions = index.search(normalised(vectors[:queries]), 4, rows)
    assert np.sort(positions, axis=1).tolist() == [[-1, -1, 5, 2_000]] * queries
    assert (index.search(normalised(vectors[:queries]), 4, ~rows & rows)[1] == -1).all()


def test_an_ivf_index_probes_as_many_lists_as_it_is_told(vectors: np.ndarray, tmp_path: Path) -> None:
    index = build("ivf", vectors, tmp_path)
    queries = normalised(vectors[:200])
    exact = -np.sort(-(unit(vectors[:200]) @ unit(vectors).T), axis=1)[:, :10]
    reached = []
    for nprobe in (1, 4, index.lists):
        index.nprobe = nprobe
        scores, _ = index.search(queries, 10)
        reached.append((scores >= exact - 1e-5).mean())
    assert reached[0] < reached[1] < reached[2] == 1.0
    index.nprobe = 1
    np.testing.assert_allclose(index.search(queries, 10, exact=True)[0], exact, atol=1e-5)


def test_two_threads_may_search_one_index_each_its_own_way(vectors: np.ndarray, tmp_path: Path) -> None:
    index = build("ivf", vectors, tmp_path)
    queries = normalised(vectors[:100])
    expected = {exact: index.search(queries, 10, exact=exact)[1] for exact in (False, True)}
    assert not np.array_equal(expected[False], expected[True])
    wrong = []

    def search(exact: bool) -> None:
        for _ in range(30):
            if not np.array_equal(index.search(queries, 10, exact=exact)[1], expected[exact]):
                wrong.append(exact)

    threads = [threading.Thread(target=search, args=(exact,)) for exact in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_vectors_are_found_at_their_row(vectors: np.ndarray, tmp_path: Path) -> None:
    for kind in ("flat", "ivf"):
        index = build(kind, vectors, tmp_path)
        for row in (0, 699, 700, ROWS - 1):
            np.testing.assert_allclose(index.vector(row), unit(vectors[row : row + 1])[0], atol=1e-6)


def test_the_kind_follows_the_number_of_rows(
    vectors: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FLAT_ROWS", 2_000)
    assert build("auto", vectors[:2_000], tmp_path).kind == "flat"
    index = build("auto", vectors[:2_001], tmp_path)
    assert (index.kind, index.lists, index.rows, index.dimension) == ("ivf", 50, 2_001, WIDTH)


@pytest.mark.parametrize("rows", [1, 2, 39, 41])
def test_inverted_lists_can_be_forced_on_a_tiny_table(
    rows: int, vectors: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index = build("ivf", vectors[:rows], tmp_path)
    assert index.search(normalised(vectors[:rows]), 1, exact=True)[1][:, 0].tolist() == list(range(rows))
    assert capfd.readouterr().err == ""


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(vectors: np.ndarray, tmp_path: Path) -> None:
    threads = faiss.omp_get_max_threads()
    contents = []
    try:
        for count, seed in ((1, 0), (2, 0), (4, 0), (1, 1)):
            faiss.omp_set_num_threads(count)
            build("ivf", vectors, tmp_path, seed)
            contents.append((tmp_path / "items.faiss").read_bytes())
    finally:
        faiss.omp_set_num_threads(threads)
    assert contents[0] == contents[1] == contents[2] != contents[3]


def test_zero_vectors_score_zero(tmp_path: Path) -> None:
    rows = np.array([[1, 0], [0, 0], [-1, 0]], dtype=np.float32)
    scores, positions = build("flat", rows, tmp_path).search(normalised(rows[:2]), 3)
    assert positions[0].tolist() == [0, 1, 2]
    assert scores.tolist() == [[1, 0, -1], [0, 0, 0]]


@pytest.mark.parametrize("rows", [10, ROWS])
def test_a_full_disk_is_an_error_and_no_half_written_index(rows: int, vectors: np.ndarray) -> None:
    index = ItemIndex.build("flat", in_batches(vectors[:rows]), rows, WIDTH, 0)
    with pytest.raises(OSError, match="No space left on device"):
        index.save(Path("/dev/full"))


@pytest.mark.parametrize(
    "content",
    [b"", b"IxFI" + b"\0" * 40, faiss.serialize_index(faiss.IndexFlatL2(3)).tobytes()],
    ids=["empty", "cut off", "by distance"],
)
def test_a_file_that_is_no_such_index_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"items\.faiss: "):
        ItemIndex.read(io.BytesIO(content), "items.faiss", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_an_index_filled_again_with_its_vectors_is_the_same(kind: str, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3_000, 8)).astype(np.float32)

    def batches() -> Iterator[np.ndarray]:
        return iter(np.array_split(vectors, 4))

    ItemIndex.build(kind, batches, len(vectors), 8, seed=3).save(tmp_path / "built")
    with (tmp_path / "built").open("rb") as file:
        index = ItemIndex.read(file, "built", nprobe=5)
    index.refilled(batches).save(tmp_path / "found")
    known = index.assignments() if kind == "ivf" else None
    if known is not None:
        known[::7] = -1
    refilled = index.refilled(batches, known)
    refilled.save(tmp_path / "known")
    assert refilled.nprobe == (5 if kind == "ivf" else None)
    built, found, again = ((tmp_path / name).read_bytes() for name in ("built", "found", "known"))
    assert built == found == again


def test_an_index_filled_with_other_vectors_searches_the_old_lists(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    old, new = random.normal(size=(3_000, 8)), random.normal(size=(2_000, 8))
    ItemIndex.build("ivf", lambda: iter([old.astype(np.float32)]), 3_000, 8, seed=3).save(tmp_path / "old")
    with (tmp_path / "old").open("rb") as file:
        index = ItemIndex.read(file, "old", nprobe=5)
    filled = index.refilled(lambda: iter([new.astype(np.float32)]))
    assert (filled.rows, filled.lists, index.rows) == (2_000, index.lists, 3_000)
    queries = normalised(new[:50])
    assert filled.search(queries, 1, exact=True)[1][:, 0].tolist() == list(range(50))
