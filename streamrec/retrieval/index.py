"""`ItemIndex`: neighbours among vectors by cosine or inner product, exact or by inverted lists (FAISS).

By cosine, vectors are L2-normalised and then compared by inner product; a vector of zeros has no direction:
it stays zero and scores 0 with everything. By inner product they are compared as they are. FAISS ids are row
positions of the published table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import faiss
import numpy as np

from streamrec.errors import BundleError

IndexKind = Literal["flat", "ivf"]
Metric = Literal["cosine", "inner_product"]
VectorBatches = Callable[[], Iterator[np.ndarray]]
"""Starts a pass over the vectors to index: float32 arrays of shape (rows, d), in row order."""

MAX_FLAT_ROWS = 100_000
"""Up to here an exact scan answers a query in about half a millisecond."""
LISTS_PER_ROOT = 2
"""Inverted lists per square root of the rows: with four, a search among a million of the same recall took a
sixth longer, and k-means twice as long."""
TRAINING_ROWS_PER_LIST = 40
"""Rows of the k-means sample per inverted list; FAISS warns below 39."""
KMEANS_ITERATIONS = 5
"""Ten took twice as long for a million items and changed neither the probes needed nor the recall."""
MANY_QUERIES = 20
"""From here on FAISS multiplies matrices, many times as fast, but only where no row is left out."""
BLOCK_ROWS = 65_536
"""Vectors copied out of the index at once where many queries search among some rows."""


def use_threads(threads: int) -> None:
    """Let searches that the calling thread starts use so many processors; other threads keep theirs."""
    faiss.omp_set_num_threads(threads)


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Copy of `vectors` (n, d) as float32 rows of length 1; rows of zeros stay zero."""
    rows = np.array(vectors, dtype=np.float32, order="C", ndmin=2)
    # The largest entry goes out first: squares of very small or very large floats leave float32's range.
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    np.divide(rows, largest, out=rows, where=largest > 0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    np.divide(rows, length, out=rows, where=length > 0)
    return rows


def comparable(vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """`vectors` (n, d) as float32 rows whose inner products are the metric's scores."""
    return normalised(vectors) if metric == "cosine" else np.ascontiguousarray(vectors, dtype=np.float32)


def exact_search(queries: np.ndarray, batches: Iterable[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best rows of a streamed matrix for each query, by inner product, without an index.

    Args:
        queries: (q, d) float32.
        batches: vectors in row order, (rows, d) float32 each, at least `k` in all; normalised for cosines.

    Returns:
        Scores (q, k), best first, and row positions (q, k).
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    positions = np.full((len(queries), k), -1, dtype=np.int64)
    start = 0
    for batch in batches:
        found, rows = faiss.knn(queries, batch, min(k, len(batch)), metric=faiss.METRIC_INNER_PRODUCT)
        scores = np.concatenate([scores, found], axis=1)
        positions = np.concatenate([positions, rows + start], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = np.take_along_axis(scores, best, axis=1)
        positions = np.take_along_axis(positions, best, axis=1)
        start += len(batch)
    return scores, positions


class ItemIndex:
    """A FAISS index and the number of lists it probes.

    `nprobe` is handed over with each search: two threads may search one index.
    """

    def __init__(self, index: Any, nprobe: int | None = None, metric: Metric = "cosine") -> None:
        self._index = index
        self.nprobe = nprobe
        self.metric = metric
        self._parameters: tuple[int | None, Any] | None = None

    @property
    def kind(self) -> IndexKind:
        """`flat`: exact scan; `ivf`: inverted lists."""
        return "ivf" if isinstance(self._index, faiss.IndexIVFFlat) else "flat"

    @property
    def dimension(self) -> int:
        """Entries of a vector."""
        return int(self._index.d)

    @property
    def rows(self) -> int:
        """Number of vectors held."""
        return int(self._index.ntotal)

    @property
    def lists(self) -> int | None:
        """Number of inverted lists; None for a flat index."""
        return int(self._index.nlist) if self.kind == "ivf" else None

    def view(self) -> ItemIndex:
        """The same vectors and lists, with an `nprobe` of its own."""
        return ItemIndex(self._index, self.nprobe, self.metric)

    @classmethod
    def build(
        cls,
        kind: Literal["auto", "flat", "ivf"],
        batches: VectorBatches,
        rows: int,
        dimension: int,
        seed: int,
        metric: Metric = "cosine",
    ) -> ItemIndex:
        """Index `rows` streamed vectors; the same vectors and seed give the same bytes.

        `auto` is flat up to 100,000 rows. An ivf index has about 2 sqrt(rows) lists, found by k-means on a
        seeded sample, and starts with one probe. The number of threads does not change the result.
        """
        if kind == "flat" or (kind == "auto" and rows <= MAX_FLAT_ROWS):
            index, nprobe = faiss.IndexFlatIP(dimension), None
        else:
            lists = max(1, min(int(LISTS_PER_ROOT * rows**0.5), rows // TRAINING_ROWS_PER_LIST))
            index, nprobe = _train(batches, rows, dimension, lists, seed, metric), 1
        for batch in batches():
            index.add(comparable(batch, metric))
        return cls(index, nprobe, metric)

    def assignments(self) -> np.ndarray:
        """The list (n,) that each row of an ivf index is in; only on an index that was read."""
        # FAISS keeps the list in the upper half of each entry, the place in it in the lower.
        return np.asarray(faiss.vector_to_array(self._index.direct_map.array) >> 32)

    def refilled(self, batches: VectorBatches, known: np.ndarray | None = None) -> ItemIndex:
        """An index of other vectors in place of these: flat, or in the lists that were trained for these.

        Args:
            batches: the vectors, all of them.
            known: (n,) of an ivf index: the list that a vector is known to be in, -1 where it is to be found.
        """
        if self.kind == "flat":
            flat = faiss.IndexFlatIP(self.dimension)
            for batch in batches():
                flat.add(comparable(batch, self.metric))
            return ItemIndex(flat, None, self.metric)
        centres = faiss.IndexFlatIP(self.dimension)
        centres.add(faiss.downcast_index(self._index.quantizer).reconstruct_n(0, self.lists))
        index = faiss.IndexIVFFlat(centres, self.dimension, self.lists, faiss.METRIC_INNER_PRODUCT)
        start = 0
        for batch in batches():
            vectors = comparable(batch, self.metric)
            lists = (
                np.full(len(vectors), -1, np.int64) if known is None else known[start : start + len(vectors)]
            )
            lists = np.array(lists, dtype=np.int64)
            unknown = np.flatnonzero(lists < 0)
            if len(unknown):
                lists[unknown] = centres.assign(vectors[unknown], 1)[:, 0]
            rows = np.arange(start, start + len(vectors), dtype=np.int64)
            index.add_core(len(vectors), faiss.swig_ptr(vectors), faiss.swig_ptr(rows), faiss.swig_ptr(lists))
            start += len(vectors)
        return ItemIndex(index, self.nprobe, self.metric)

    @classmethod
    def read(cls, file: BinaryIO, name: str, nprobe: int | None, metric: Metric = "cosine") -> ItemIndex:
        """Load an index from an open file, which does not know its metric; `name` is named in errors.

        Raises:
            BundleError: the file is not an index that `save` writes.
        """
        try:
            index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        except RuntimeError as error:
            raise BundleError(f"{name}: not a FAISS index: {str(error).splitlines()[-1]}") from None
        known = isinstance(index, faiss.IndexFlatIP | faiss.IndexIVFFlat)
        if not known or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise BundleError(
                f"{name}: found {type(index).__name__}, expected an inner-product Flat or IVFFlat"
            )
        if isinstance(index, faiss.IndexIVFFlat):
            index.make_direct_map()  # `vector` looks rows up by position
        return cls(index, nprobe, metric)

    def save(self, path: Path) -> None:
        """Write the index; `faiss.read_index` reads it.

        Raises:
            OSError: the disk refuses.
        """
        # FAISS's own writer only prints when the disk is full as it closes the file.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    def vector(self, position: int) -> np.ndarray:
        """The vector (d,) at a row position, normalised for cosines; only on an index that was read."""
        return np.asarray(self._index.reconstruct(position), dtype=np.float32)

    def vectors(self, positions: np.ndarray) -> np.ndarray:
        """The vectors (n, d) at row positions (n,), as `vector` gives them."""
        if not len(positions):
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(positions, dtype=np.int64)))

    def search(
        self, queries: np.ndarray, k: int, rows: np.ndarray | None = None, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` best rows for each query.

        Args:
            queries: (q, d) float32, as `comparable` makes them: for cosines, rows of length 1.
            k: rows wanted, at most the number held.
            rows: (n,) bool; only rows that are True are considered, and every one of them is.
            exact: scan every list of an ivf index; a search among `rows` always does.

        Returns:
            Scores (q, k), best first, and positions (q, k); -1 where the lists probed, or `rows`, held fewer.
        """
        selector = None
        if rows is not None and len(queries) >= MANY_QUERIES:
            return self._search_among(queries, k, np.flatnonzero(rows))
        if rows is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(rows, bitorder="little"))
        if selector is None and not exact:
            parameters = self._as_published
        elif self.kind == "flat":
            parameters = faiss.SearchParameters(sel=selector)
        else:
            parameters = faiss.SearchParametersIVF(nprobe=self.lists, sel=selector)
        scores, positions = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        return scores, positions

    def neighbours_of(self, position: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` best rows for the vector of a row, itself among them; a shorter way than `search`.

        Returns:
            Scores (k,), best first, and positions (k,), -1 where the lists probed held fewer.
        """
        query = np.empty((1, self._index.d), dtype=np.float32)
        scores, positions = np.empty(k, dtype=np.float32), np.empty(k, dtype=np.int64)
        at = faiss.swig_ptr(query)
        # What FAISS's Python functions check and allocate around these takes a fifth of a search's time.
        self._index.reconstruct_c(position, at)
        self._index.search_c(1, at, k, faiss.swig_ptr(scores), faiss.swig_ptr(positions), self._as_published)
        return scores, positions

    @property
    def _as_published(self) -> Any:
        """Settings of a search among all rows, made once: that takes a fifth as long as such a search."""
        if self._parameters is None or self._parameters[0] != self.nprobe:
            made = faiss.SearchParametersIVF(nprobe=self.nprobe) if self.lists else faiss.SearchParameters()
            self._parameters = (self.nprobe, made)
        return self._parameters[1]

    def _search_among(self, queries: np.ndarray, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        positions = np.full((len(queries), k), -1, dtype=np.int64)
        found = min(k, len(rows))
        if found:
            blocks = (self.vectors(rows[i : i + BLOCK_ROWS]) for i in range(0, len(rows), BLOCK_ROWS))
            best, at = exact_search(queries, blocks, found)
            scores[:, :found], positions[:, :found] = best, rows[at]
        return scores, positions


def _train(batches: VectorBatches, rows: int, dimension: int, lists: int, seed: int, metric: Metric) -> Any:
    wanted = min(rows, lists * TRAINING_ROWS_PER_LIST)
    chosen = np.sort(np.random.default_rng(seed).choice(rows, size=wanted, replace=False))
    sample = np.empty((wanted, dimension), dtype=np.float32)
    start = 0
    for batch in batches():
        low, high = np.searchsorted(chosen, [start, start + len(batch)])
        sample[low:high] = comparable(batch[chosen[low:high] - start], metric)
        start += len(batch)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = seed % 2**31
    index.cp.spherical = True
    index.cp.niter = KMEANS_ITERATIONS
    # No warning on a small forced-ivf table: one list per few rows is what was asked for.
    index.cp.min_points_per_centroid = 1
    index.train(sample)
    return index
