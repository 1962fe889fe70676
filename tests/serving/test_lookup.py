from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.serving.lookup import IdLookup


@settings(max_examples=40)
@given(
    st.lists(st.text(max_size=40), min_size=1, max_size=30, unique=True),
    st.integers(1, 20),
    st.text(max_size=40),
)
def test_a_text_is_found_at_its_row_and_no_other_is_found(ids: list[str], chunk: int, other: str) -> None:
    parts = [ids[start : start + chunk] for start in range(0, len(ids), chunk)]
    lookup = IdLookup(pa.chunked_array([pa.array(part, pa.string()) for part in parts]))
    assert [lookup.position(one) for one in ids] == list(range(len(ids)))
    assert lookup.ids(range(len(ids))) == lookup.ids_at(np.arange(len(ids))) == ids
    assert lookup.position(other) == (ids.index(other) if other in ids else -1)


@settings(max_examples=40)
@given(st.lists(st.integers(1 - 2**63, 2**63 - 1), min_size=1, max_size=30, unique=True))
def test_an_integer_is_found_by_its_text_too(ids: list[int]) -> None:
    lookup = IdLookup(pa.chunked_array([pa.array(ids, pa.int64())]))
    assert [lookup.position(str(one)) for one in ids] == list(range(len(ids)))
    assert lookup.positions(ids).tolist() == list(range(len(ids)))
    assert lookup.ids([0]) == lookup.ids_at(np.array([0])) == ids[:1]


@pytest.mark.parametrize("wanted", ["", "7.0", "x", "1" * 5000, 2**80, "\ud800", "\x00"])
def test_what_is_no_id_is_at_no_row(wanted: Any) -> None:
    assert IdLookup(pa.chunked_array([pa.array([7, 8])])).position(wanted) == -1
    assert IdLookup(pa.chunked_array([pa.array(["7", "8"])])).position(wanted) == -1


def test_many_ids_spread_over_the_buckets_and_take_few_bytes() -> None:
    ids = [f"item_{number:07d}" for number in range(50_000)]
    lookup = IdLookup(pa.chunked_array([pa.array(ids).slice(0, 30_000), pa.array(ids).slice(30_000)]))
    assert np.diff(np.asarray(lookup._starts)).max() < 12
    assert lookup._starts.nbytes + lookup._rows.nbytes < 12 * len(ids)
    some = list(range(0, 50_000, 977))
    assert lookup.positions(ids[row] for row in some).tolist() == some
    assert lookup.ids(some) == [ids[row] for row in some]
