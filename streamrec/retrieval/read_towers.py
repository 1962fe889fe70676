"""Reading the folder of the towers: nothing of it is used that does not fit the rest. Never imports torch."""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from streamrec.errors import BundleError
from streamrec.retrieval import towers as names
from streamrec.retrieval.embeddings import to_matrix
from streamrec.retrieval.ids import Ids
from streamrec.retrieval.index import ItemIndex
from streamrec.retrieval.lists import Lists
from streamrec.retrieval.manifest import IndexSettings, TowerFacts
from streamrec.retrieval.tower_search import TowerSearch

_SAMPLE = 32
"""Rows of each table that must be in its index at the same position."""

T = TypeVar("T")


class Opener(Protocol):
    """Calls a reader with an open file of the folder, by name."""

    def __call__(self, name: str, reader: Callable[[BufferedReader], T], /) -> T:
        """What the reader makes of the file."""


def open_towers(folder: Path) -> TowerSearch:
    """Read a folder that `write_towers` wrote.

    Raises:
        BundleError: a file is missing, broken or does not fit the rest.
    """

    def read(name: str, reader: Callable[[BufferedReader], T]) -> T:
        path = folder / name
        try:
            with path.open("rb") as file:
                return reader(file)
        except OSError as error:
            raise BundleError(
                f"{path}: cannot read a file of the towers: {error.strerror or error}"
            ) from None

    return read_towers(read, str(folder))


def read_towers(read: Opener, folder: str) -> TowerSearch:
    """Read the files through `read`, and check that they agree; `folder` is named in errors.

    Raises:
        BundleError: as `open_towers`.
    """
    facts = read(names.FACTS, lambda file: names.read_facts(file, f"{folder}/{names.FACTS}"))
    item_index = read(
        names.ITEM_INDEX, _index(f"{folder}/{names.ITEM_INDEX}", facts.item_index, facts.items, facts)
    )
    user_index = read(
        names.USER_INDEX, _index(f"{folder}/{names.USER_INDEX}", facts.user_index, facts.users, facts)
    )
    items = read(names.ITEMS, _table(f"{folder}/{names.ITEMS}", item_index, facts.seed))
    users = read(names.USERS, _table(f"{folder}/{names.USERS}", user_index, facts.seed))
    return TowerSearch(
        facts,
        Ids(items.column(0), folder),
        Ids(users.column(0), folder, "user"),
        item_index,
        user_index,
        _histories(users, facts.items, f"{folder}/{names.USERS}"),
    )


def _histories(users: pa.Table, items: int, path: str) -> Lists:
    if names.HISTORY not in users.column_names or users[names.HISTORY].type != pa.list_(pa.int32()):
        raise BundleError(f"{path}: no column '{names.HISTORY}' of lists of positions; make the towers again")
    histories = Lists.from_arrow(users[names.HISTORY])
    wrong = histories.values[(histories.values < 0) | (histories.values >= items)]
    if len(wrong):
        raise BundleError(
            f"{path}: '{names.HISTORY}' names row {wrong[0]}, expected one of {items} items; "
            "make the towers again"
        )
    return histories


def _index(
    path: str, settings: IndexSettings, rows: int, facts: TowerFacts
) -> Callable[[BufferedReader], ItemIndex]:
    def read(file: BufferedReader) -> ItemIndex:
        index = ItemIndex.read(file, path, settings.nprobe, facts.metric)
        for what, found, stated in (
            ("kind", index.kind, settings.kind),
            ("dimension", index.dimension, facts.dimension),
            ("row count", index.rows, rows),
            ("number of lists", index.lists, settings.lists),
        ):
            _agree(path, what, found, stated)
        return index

    return read


def _table(path: str, index: ItemIndex, seed: int) -> Callable[[BufferedReader], pa.Table]:
    """Reads the ids and histories, and finds sampled vectors in the index."""

    def read(file: BufferedReader) -> pa.Table:
        try:
            # No read-ahead and no threads: see `BundleReader`.
            parquet = pq.ParquetFile(file, pre_buffer=False)
            rows = parquet.metadata.num_rows
            _agree(path, "row count", rows, index.rows)
            first = parquet.schema_arrow.names[0]
            columns = [name for name in (first, names.HISTORY) if name in parquet.schema_arrow.names]
            sample = np.random.default_rng(seed).choice(rows, size=min(rows, _SAMPLE), replace=False)
            end = 0
            for group in range(parquet.num_row_groups):
                start, end = end, end + parquet.metadata.row_group(group).num_rows
                here = sample[(sample >= start) & (sample < end)]
                if len(here):
                    column = parquet.read_row_group(group, [names.VECTOR], use_threads=False)[names.VECTOR]
                    same = (to_matrix(column)[here - start] == index.vectors(here)).all(axis=1)
                    if not same.all():
                        raise BundleError(
                            f"{path}: row {here[~same][0]} has another vector in the index; "
                            "make the towers again"
                        )
            return parquet.read(columns, use_threads=False)
        except (pa.ArrowException, KeyError, AttributeError) as error:
            raise BundleError(f"{path}: not a table of the towers: {error}; make them again") from None

    return read


def _agree(path: str, what: str, found: object, stated: object) -> None:
    if found != stated:
        raise BundleError(
            f"{path}: {what} is {found}, {names.FACTS} says {stated}: altered, or of other towers; "
            "make the towers again or go back to an older bundle"
        )
