"""Encoding rows and decoding them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.catalog import codec as codec_module
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.encoded import EncodedRows
from streamrec.catalog.generate import generate
from streamrec.config import CodecConfig, GenerateConfig
from streamrec.errors import BundleError, CatalogError, ConfigError
from streamrec.schema import FeatureSchema, MultiLabelColumn

SCHEMA = FeatureSchema(
    item_id="id",
    categorical=("text", "code", "flag"),
    multi_label=(MultiLabelColumn(name="labels"),),
    numeric=("count", "real", "single", "switch", "small"),
)
TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "code": pa.int64(),
    "flag": pa.bool_(),
    "labels": pa.list_(pa.string()),
    "count": pa.int64(),
    "real": pa.float64(),
    "single": pa.float32(),
    "switch": pa.bool_(),
    "small": pa.int8(),
}
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["", "a", "b", "é|,\n", "null"]) | st.text(max_size=3),
    "code": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3),
    "flag": st.booleans(),
    "labels": st.lists(st.sampled_from("abcdef"), max_size=4, unique=True),
    "count": st.just(0) | st.integers(-(2**53), 2**53),
    "real": st.just(0.0) | st.floats(-1e12, 1e12) | st.floats(allow_nan=False, allow_infinity=False),
    "single": st.floats(-1e6, 1e6, width=32),
    "switch": st.booleans(),
    "small": st.integers(-128, 127),
}


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 1) -> pa.Table:
    rows = draw(st.integers(min_rows, 30))
    columns = {}
    for name, cells in CELLS.items():
        cell = draw(st.sampled_from([cells, st.none() | cells, st.none()]))
        columns[name] = pa.array(draw(st.lists(cell, min_size=rows, max_size=rows)), TYPES[name])
    return pa.table(columns)


def fit(table: pa.Table | pa.RecordBatch, schema: FeatureSchema = SCHEMA, **config: Any) -> FeatureCodec:
    return FeatureCodec.fit(table, schema, CodecConfig(**config))


def one_number(
    cells: Any, dtype: pa.DataType | None = None, **config: Any
) -> tuple[FeatureCodec, Callable[..., EncodedRows]]:
    """A codec of the numeric column `x`, and a function that encodes other cells of it."""
    schema = FeatureSchema(item_id="id", numeric=("x",))
    codec = fit(pa.table({"x": pa.array(cells, dtype)}), schema, **config)
    return codec, lambda cells, dtype=None: codec.encode(pa.table({"x": pa.array(cells, dtype)}))


def one_category(cells: Any, dtype: pa.DataType | None = None, **config: Any) -> FeatureCodec:
    schema = FeatureSchema(item_id="id", categorical=("x",))
    return fit(pa.table({"x": pa.array(cells, dtype)}), schema, **config)


def codes(codec: FeatureCodec, cells: Any, dtype: pa.DataType | None = None) -> list[int]:
    return codec.encode(pa.table({"x": pa.array(cells, dtype)})).categories[:, 0].tolist()


def same(left: EncodedRows, right: EncodedRows) -> bool:
    kinds = ("categories", "labels", "numbers", "states")
    return all(getattr(left, kind).tobytes() == getattr(right, kind).tobytes() for kind in kinds)


@given(table=tables(), scaling=st.sampled_from(["auto", "quantile"]))
def test_training_rows_come_back(table: pa.Table, scaling: str) -> None:
    codec = fit(table, scaling=scaling, columns={"real": "quantile"})
    decoded = codec.decode(codec.encode(table))
    assert decoded.column_names == table.column_names
    for name in SCHEMA.feature_columns:
        before, after = table[name].to_pylist(), decoded[name].to_pylist()
        if name == "labels":
            assert [set(cell) for cell in after] == [set(cell or []) for cell in before]
        elif name == "real":
            # Numbers beyond 1e300 are taken as 1e300, values 1e-280 apart as one.
            expected = [None if x is None else float(np.clip(x, -1e300, 1e300)) for x in before]
            assert [x is None for x in after] == [x is None for x in before]
            assert np.allclose(_present(after), _present(expected), rtol=1e-5, atol=1e-200)
        elif name in ("count", "single"):
            assert [x is None for x in after] == [x is None for x in before]
            spread = np.ptp(_present(before)) if _present(before) else 0
            assert np.allclose(_present(after), _present(before), rtol=0, atol=1e-6 * spread)
        else:
            assert after == before
        if table[name].null_count < len(table):
            assert decoded[name].type == table[name].type


def _present(cells: list[Any]) -> list[Any]:
    return [cell for cell in cells if cell is not None]


@given(training=tables(), others=tables(min_rows=0), data=st.data())
def test_any_rows_encode_within_the_layout(training: pa.Table, others: pa.Table, data: st.DataObject) -> None:
    codec = fit(training, scaling=data.draw(st.sampled_from(["auto", "quantile", "standard"])))
    rows, layout = codec.encode(others), codec.layout
    assert np.isfinite(rows.numbers).all()
    assert np.isin(rows.labels, [0, 1]).all()
    for sizes, found in ((layout.categorical, rows.categories), (layout.numeric, rows.states)):
        for index, (name, size) in enumerate(sizes):
            assert found[:, index].min(initial=0) >= 0
            assert found[:, index].max(initial=0) < size
            missing = found[:, index] == (0 if sizes is layout.categorical else 1)
            known = training[name].null_count < len(training)
            if known or sizes is layout.categorical:
                assert missing.tolist() == others[name].is_null().to_pylist()
    assert (rows.numbers[rows.states == 1] == 0).all()


@given(table=tables(), data=st.data())
def test_codec_and_rows_do_not_depend_on_chunks_or_container(table: pa.Table, data: st.DataObject) -> None:
    codec = fit(table)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=3)))
    parts = [table.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(table)], strict=True)]
    chunked = pa.concat_tables(parts)
    batch = table.combine_chunks().to_batches()[0]
    for other in (chunked, batch):
        assert fit(other).fingerprint == codec.fingerprint
        assert same(codec.encode(other), codec.encode(table))
    order = data.draw(st.permutations(range(len(table))))
    assert fit(table.take(order)).fingerprint == codec.fingerprint
    assert same(codec.encode(table.take(order)), codec.encode(table)[np.array(order)])


def test_blocks_of_rows_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "text": pa.array(rng.choice(["a", "b", "c", None], 100)),
            "labels": pa.array([["u", "v"][: i % 3] for i in range(100)]),
            "real": rng.normal(size=100),
        }
    )
    schema = FeatureSchema(item_id="id", categorical=("text",), multi_label=("labels",), numeric=("real",))
    codec = fit(table, schema)
    whole = codec.encode(table)
    monkeypatch.setattr(codec_module, "BLOCK_ROWS", 7)
    assert same(codec.encode(table), whole)


@settings(max_examples=30)
@given(table=tables())
def test_saved_codec_is_the_same_codec(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> None:
    codec, folder = fit(table), tmp_path_factory.mktemp("codec")
    codec.save(folder)
    loaded = FeatureCodec.load(folder)
    assert (loaded.fingerprint, loaded.layout, loaded.schema) == (codec.fingerprint, codec.layout, SCHEMA)
    assert same(loaded.encode(table), codec.encode(table))
    assert loaded.decode(loaded.encode(table)).equals(codec.decode(codec.encode(table)))
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    loaded.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert set(first) == {"codec.json", "codec.npz"}


def test_fingerprint_tells_codecs_apart() -> None:
    fingerprints = {
        one_number([1.0, 2.0, 3.0, 5.0, 9.0])[0].fingerprint,
        one_number([1.0, 2.0, 3.0, 5.0, 9.5])[0].fingerprint,
        one_number([1.0, 2.0, 3.0, 5.0, 9.0], pa.float32())[0].fingerprint,
        one_number([1.0, 2.0, 3.0, 5.0, 9.0], scaling="standard")[0].fingerprint,
        one_category(["a", "b"]).fingerprint,
        one_category(["a", "c"]).fingerprint,
    }
    assert len(fingerprints) == 6


def _alter(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "codec.json").unlink(), "cannot read"),
        (lambda folder: (folder / "codec.npz").unlink(), "cannot read"),
        (_alter("codec.json", lambda data: data[:-20]), "broken"),
        (_alter("codec.json", lambda data: b"[]"), "broken"),
        (_alter("codec.json", lambda data: b"\xff" + data), "broken"),
        (_alter("codec.npz", lambda data: data[: len(data) // 2]), "broken"),
        (_alter("codec.npz", lambda data: b""), "broken"),
        (
            _alter("codec.json", lambda data: data.replace(b'"format": 1', b'"format": 2')),
            "format 2, expected 1",
        ),
        (_alter("codec.json", lambda data: data.replace(b'"news"', b'"blog"')), "fingerprint"),
        (_alter("codec.json", lambda data: data.replace(b'"string"', b'"strung"')), "broken"),
    ],
)
def test_damaged_codec_is_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    schema = FeatureSchema(item_id="id", categorical=("kind",), numeric=("x",))
    table = pa.table({"kind": ["news", "sport"] * 5, "x": np.arange(10.0)})
    fit(table, schema).save(tmp_path)
    FeatureCodec.load(tmp_path)
    damage(tmp_path)
    with pytest.raises(BundleError, match=message) as error:
        FeatureCodec.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_knots_of_another_codec_are_refused(tmp_path: Path) -> None:
    one_number(np.arange(10.0))[0].save(tmp_path / "a")
    one_number(np.arange(11.0))[0].save(tmp_path / "b")
    (tmp_path / "a" / "codec.npz").replace(tmp_path / "b" / "codec.npz")
    with pytest.raises(BundleError, match="fingerprint"):
        FeatureCodec.load(tmp_path / "b")


# Categories


def test_vocabulary_is_ordered_by_count_then_value() -> None:
    codec = one_category(["b", "c", "a", "c", None, "b", "c"])
    assert codes(codec, ["c", "b", "a", None, "new"]) == [2, 3, 4, 0, 1]
    assert codec.layout.categorical == (("x", 5),)


def test_values_beyond_the_largest_vocabulary_are_unseen_and_decode_to_null() -> None:
    codec = one_category([7, 7, 7, 5, 5, 3, 4], max_categories=2)
    table = pa.table({"x": [7, 5, 3, None]})
    assert codes(codec, [7, 5, 3, None]) == [2, 3, 1, 0]
    decoded = codec.decode(codec.encode(table))["x"]
    assert decoded.to_pylist() == [7, 5, None, None]
    assert decoded.type == pa.int64()


@pytest.mark.parametrize(
    ("training", "cells", "expected"),
    [
        (pa.array(["5", "6", "6"]), pa.array([5, 6, 7]), [3, 2, 1]),
        (pa.array(["a", "b", "b"]), pa.array(["a", "b", None]).dictionary_encode(), [3, 2, 0]),
        (pa.array(["a", "b", "b"]), pa.array(["a", "b"], pa.large_string()), [3, 2]),
        (pa.array(["a", "b", "b"]), pa.array(["a", "b"], pa.string_view()), [3, 2]),
        (pa.array(["a", "b", "b"]), pa.nulls(2), [0, 0]),
        (pa.array([5, 6, 6]), pa.array([5.0, 6.0, np.nan, None]), [3, 2, 0, 0]),
        (pa.array([5, 6, 6]), pa.array([5, 6], pa.uint8()), [3, 2]),
        (pa.array([5.0, 6.0, 6.0, np.nan]), pa.array([5, 6, None]), [3, 2, 0]),
        (pa.array([True, False, False]), pa.array([1, 0, None]), [3, 2, 0]),
        (pa.array([True, False, False]), pa.array([1.0, 0.0, np.nan]), [3, 2, 0]),
        (pa.array(["a", "b", "b"]).dictionary_encode(), pa.array(["a", "b"]), [3, 2]),
        (pa.nulls(3), pa.array(["a", None]), [1, 0]),
    ],
)
def test_categories_of_another_type_are_read_where_they_are_unambiguous(
    training: pa.Array, cells: pa.Array, expected: list[int]
) -> None:
    assert codes(one_category(training), cells) == expected


@pytest.mark.parametrize(
    ("training", "cells", "message"),
    [
        (["a", "b"], [1.5], "1.5"),
        (["a", "b"], [True], "bool, expected string"),
        ([1, 2], ["1"], "string, expected int64"),
        ([1, 2], [2.5], "2.5"),
        ([True, False], [2], "other than 0 and 1"),
        ([True, False], ["yes"], "string, expected bool"),
    ],
)
def test_ambiguous_categories_are_refused(training: list[Any], cells: list[Any], message: str) -> None:
    with pytest.raises(CatalogError, match=message) as error:
        codes(one_category(training), cells)
    assert "'x'" in str(error.value)


# Labels


def labels_codec(cells: Any, delimiter: str | None = None, **config: Any) -> FeatureCodec:
    column = MultiLabelColumn(name="x", delimiter=delimiter)
    schema = FeatureSchema(item_id="id", multi_label=(column,))
    return fit(pa.table({"x": cells}), schema, **config)


def test_labels_are_indicators_ordered_by_count_then_value() -> None:
    cells = pa.array([["b", "c"], ["c", "a"], None, [], ["b", "c"]])
    codec = labels_codec(cells)
    rows = codec.encode(pa.table({"x": cells}))
    assert rows.labels.tolist() == [[1, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert codec.decode(rows)["x"].to_pylist() == [["c", "b"], ["c", "a"], [], [], ["c", "b"]]


def test_unknown_and_rare_labels_are_dropped() -> None:
    codec = labels_codec(pa.array([["a", "b"], ["a", "b"], ["c"]]), max_labels=2)
    rows = codec.encode(pa.table({"x": pa.array([["c", "b"], ["new"], ["a", "a"]])}))
    assert rows.labels.tolist() == [[0, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    "dtype",
    [
        pa.large_list(pa.large_string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_(pa.string(), 2),
        pa.list_(pa.string_view()),
    ],
)
def test_lists_of_any_layout_are_read(dtype: pa.DataType) -> None:
    cells = [["a", "b"], None, ["b", "b"]]
    codec = labels_codec(pa.array(cells, pa.list_(pa.string())))
    rows = codec.encode(pa.table({"x": pa.array(cells, dtype)}))
    assert rows.labels.tolist() == [[1, 1], [0, 0], [1, 0]]


def test_labels_hidden_under_a_missing_list_are_not_read() -> None:
    cells = pa.ListArray.from_arrays(
        pa.array([0, 1, 3, 4]), pa.array(["a", "b", "b", "a"]), mask=pa.array([False, True, False])
    )
    codec = labels_codec(cells)
    assert codec.layout.multi_label == (("x", 1),)
    assert codec.encode(pa.table({"x": cells})).labels.tolist() == [[1], [0], [1]]


def test_slices_of_lists_are_read_from_their_start() -> None:
    table = pa.table({"x": pa.array([["a"], ["b"], [], ["a", "b"], ["b"]])})
    codec = labels_codec(table["x"])
    assert codec.encode(table.slice(1, 3)).labels.tolist() == codec.encode(table).labels[1:4].tolist()


def test_labels_as_delimited_text_are_split() -> None:
    codec = labels_codec(pa.array(["a| b", "b", None, "", "|a|"]), delimiter="|")
    rows = codec.encode(pa.table({"x": pa.array(["b|a", None, " b ||", "ab"])}))
    assert rows.labels.tolist() == [[1, 1], [0, 0], [0, 1], [0, 0]]
    lists = codec.encode(pa.table({"x": pa.array([["b", "a"], ["b"]])}))
    assert lists.labels.tolist() == [[1, 1], [0, 1]]


def test_text_without_a_delimiter_is_refused_as_labels() -> None:
    with pytest.raises(CatalogError, match="'x' holds string, expected lists of text; set its delimiter"):
        labels_codec(pa.array(["a|b"]))


# Numbers


def test_missing_cells_have_their_state_also_where_training_had_none() -> None:
    codec, encode = one_number(np.arange(10.0))
    rows = encode([3.0, None, float("nan"), float("inf")])
    assert rows.states[:, 0].tolist() == [0, 1, 1, 1]
    assert rows.numbers[1:, 0].tolist() == [0, 0, 0]
    assert codec.decode(rows)["x"].to_pylist()[1:] == [None, None, None]


@pytest.mark.parametrize("dtype", [pa.float64(), pa.float32(), pa.int64(), pa.int16()])
@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_zeros_stay_exact_zeros_and_no_other_value_becomes_their_state(
    dtype: pa.DataType, scaling: str
) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(1, 30_000, 3_000) * (rng.random(3_000) > 0.3)
    codec, encode = one_number(cells, dtype, scaling=scaling)
    rows = encode(cells, dtype)
    assert codec.layout.numeric == (("x", 3),)
    assert ((rows.states[:, 0] == 2) == (cells == 0)).all()
    assert len(set(rows.numbers[cells == 0, 0].tolist())) == 1
    noisy = EncodedRows(rows.categories, rows.labels, rows.numbers + np.float32(0.1), rows.states)
    assert (codec.decode(noisy)["x"].to_numpy()[cells == 0] == 0).all()


def test_float32_atom_is_recognised_in_float64() -> None:
    rng = np.random.default_rng(0)
    cells = np.concatenate([np.full(50, 0.1), rng.random(100)]).astype(np.float32)
    _, encode = one_number(cells, pa.float32())
    assert encode([0.1], pa.float64()).states.tolist() == [[2]]


def test_value_outside_the_training_range_is_encoded_as_the_nearest() -> None:
    rng = np.random.default_rng(0)
    capped = np.minimum(rng.lognormal(size=2_000), 3.0)
    _, encode = one_number(capped)
    inside, outside = encode([capped.min(), 3.0]), encode([-5.0, 1e300])
    assert inside.states.tolist() == [[0], [2]]
    assert same(inside, outside)


def test_value_between_atoms_is_the_nearest_where_there_is_nothing_else() -> None:
    codec, encode = one_number([0, 0, 1, 1, 4], pa.int64())
    assert encode([-3, 0, 1, 2, 3, 9]).states[:, 0].tolist() == [2, 2, 3, 3, 4, 4]
    assert codec.decode(encode([2, 3]))["x"].to_pylist() == [1, 4]


@pytest.mark.parametrize("dtype", [pa.float64(), pa.null()])
def test_column_without_a_value_is_always_missing(dtype: pa.DataType) -> None:
    codec, encode = one_number([None, None], dtype)
    rows = encode([1.5, None])
    assert (rows.states.tolist(), rows.numbers.tolist()) == ([[1], [1]], [[0], [0]])
    assert codec.decode(rows)["x"].to_pylist() == [None, None]
    assert codec.layout.numeric == (("x", 2),)


def test_auto_scaling_goes_by_the_shape_and_columns_override_it() -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {"bell": rng.normal(size=2_000), "tail": rng.lognormal(size=2_000), "same": [1.0] * 2_000}
    )
    schema = FeatureSchema(item_id="id", numeric=("bell", "tail", "same"))

    def found(**config: Any) -> list[str]:
        return [codec.scaling for codec in fit(table, schema, **config).numbers]

    assert found() == ["standard", "quantile", "quantile"]
    assert found(scaling="standard") == ["standard"] * 3
    assert found(columns={"bell": "quantile"}, scaling="standard") == ["quantile", "standard", "standard"]


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_numbers_of_the_independent_preset_are_standardised(seed: int, tmp_path: Path) -> None:
    config = GenerateConfig(preset="independent", items=5_000, seed=seed)
    catalog = generate(config, tmp_path / "catalog.parquet")
    codec = fit(catalog.table(), catalog.schema)
    assert {number.scaling for number in codec.numbers} == {"standard"}


@given(
    training=tables(),
    numbers=st.lists(st.floats(width=32), min_size=5, max_size=5),
    scaling=st.sampled_from(["quantile", "standard"]),
)
def test_generated_numbers_decode_within_the_training_range(
    training: pa.Table, numbers: list[float], scaling: str
) -> None:
    codec = fit(training, scaling=scaling)
    rows = codec.encode(training)[:1]
    generated = EncodedRows(rows.categories, rows.labels, np.array([numbers], np.float32), rows.states * 0)
    decoded = codec.decode(generated)
    for name in SCHEMA.numeric:
        known = _present(training[name].to_pylist())
        value = decoded[name][0].as_py()
        if known:
            assert np.clip(min(known), -1e300, 1e300) <= value <= np.clip(max(known), -1e300, 1e300)
        else:
            assert value is None


@pytest.mark.parametrize("dtype", [pa.int64(), pa.uint64(), pa.int8(), pa.uint8()])
@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_ends_of_an_integer_type_come_back_within_it(dtype: pa.DataType, scaling: str) -> None:
    bounds = np.iinfo(dtype.to_pandas_dtype())
    cells = [bounds.min, bounds.max, *range(20)]
    codec, encode = one_number(cells, dtype, scaling=scaling)
    decoded = codec.decode(encode(cells, dtype))["x"]
    assert decoded.type == dtype
    assert decoded.to_pylist()[:2] == [bounds.min, pytest.approx(bounds.max, rel=1e-15)]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([1, 2, None]),
        pa.array([1, 2, None], pa.uint8()),
        pa.array([1, 2, None], pa.float16()),
        pa.array([1, 2, None], pa.decimal128(5, 2)),
        pa.array([1.0, 2.0, None]).dictionary_encode(),
    ],
    ids=lambda cells: str(cells.type),
)
def test_numbers_of_another_type_are_read(cells: pa.Array) -> None:
    _, encode = one_number(np.arange(10.0))
    assert same(encode(cells), encode([1.0, 2.0, None]))
    trained_on_it, _ = one_number(cells)
    assert trained_on_it.decode(trained_on_it.encode(pa.table({"x": cells})))["x"].to_pylist() == [1, 2, None]


@pytest.mark.parametrize(
    "cells",
    [pa.array(["1"]), pa.array([0], pa.timestamp("us")), pa.array([[1.0]])],
    ids=lambda c: str(c.type),
)
def test_columns_that_are_not_numbers_are_refused(cells: pa.Array) -> None:
    _, encode = one_number(np.arange(10.0))
    with pytest.raises(CatalogError, match=r"'x' holds .*expected numbers"):
        encode(cells)


# Tables


def test_rows_may_have_other_columns_in_any_order_or_be_none() -> None:
    schema = FeatureSchema(item_id="id", categorical=("a",), numeric=("b",))
    codec = fit(pa.table({"a": ["u", "v"], "b": [1.0, 2.0]}), schema)
    rows = codec.encode(pa.table({"b": [2.0], "other": [None], "a": ["v"]}))
    assert rows.categories.tolist() == [[3]]
    assert len(codec.encode(pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.float64())}))) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"b": [1.0]}), "no column 'a', expected one; found b"),
        (pa.table([["u"], ["v"], [1.0]], names=["a", "a", "b"]), "2 columns named 'a'"),
    ],
)
def test_absent_and_double_columns_are_named(table: pa.Table, message: str) -> None:
    schema = FeatureSchema(item_id="id", categorical=("a",), numeric=("b",))
    with pytest.raises(CatalogError, match=message):
        fit(pa.table({"a": ["u"], "b": [1.0]}), schema).encode(table)
    with pytest.raises(CatalogError, match=message):
        fit(table, schema)


def test_fit_needs_rows_and_known_columns() -> None:
    with pytest.raises(CatalogError, match="no rows"):
        one_number([], pa.float64())
    schema = FeatureSchema(item_id="id", numeric=("price",))
    with pytest.raises(ConfigError, match=r"'prices' is not a numeric column.*; did you mean 'price'"):
        fit(pa.table({"price": [1.0]}), schema, columns={"prices": "standard"})


@pytest.mark.parametrize(
    ("kind", "array", "message"),
    [
        ("states", np.array([[3]]), "'x' holds 3, expected 0 to 2"),
        ("states", np.array([[-1]]), "'x' holds -1"),
        ("categories", np.array([[4]]), "'c' holds 4, expected 0 to 3"),
        ("numbers", np.zeros((1, 2), np.float32), r"numbers has shape \(1, 2\), expected \(1, 1\)"),
        ("labels", np.zeros((2, 0), np.float32), r"labels has shape \(2, 0\), expected \(1, 0\)"),
    ],
)
def test_rows_of_another_codec_are_refused(kind: str, array: np.ndarray, message: str) -> None:
    schema = FeatureSchema(item_id="id", categorical=("c",), numeric=("x",))
    x = np.concatenate([np.zeros(5), np.arange(10.0)])
    table = pa.table({"c": ["a", "b", "b"] * 5, "x": x})
    codec = fit(table, schema)
    row = codec.encode(table)[:1]
    arrays = {name: getattr(row, name) for name in ("categories", "labels", "numbers", "states")}
    with pytest.raises(CatalogError, match=message):
        codec.decode(EncodedRows(**{**arrays, kind: array}))


# Real rows


@pytest.fixture(scope="module")
def news(real_data: Path) -> pa.Table:
    return pq.read_table(real_data / "news" / "news.parquet")


@pytest.fixture(scope="module")
def news_codec(news: pa.Table) -> FeatureCodec:
    numeric = [
        field.name for field in news.schema if pa.types.is_floating(field.type) or field.type == pa.int64()
    ]
    schema = FeatureSchema(
        item_id="item_id",
        categorical=("channel", "weekday"),
        numeric=tuple(name for name in numeric if name != "item_id"),
    )
    return fit(news.slice(0, 8_000), schema)


def test_news_rows_come_back(news: pa.Table, news_codec: FeatureCodec) -> None:
    training = news.slice(0, 8_000)
    decoded = news_codec.decode(news_codec.encode(training))
    for name in ("channel", "weekday"):
        assert decoded[name].to_pylist() == training[name].to_pylist()
    for number in news_codec.numbers:
        name = number.name
        before, after = training[name].to_numpy(), decoded[name].to_numpy()
        for atom in number.atoms:
            assert ((before == atom) == (after == atom)).all(), name
        if decoded[name].type == pa.int64():
            assert (before == after).all(), name
        else:
            assert np.abs(before - after).max() <= 1e-6 * np.ptp(before), name


def test_news_numbers_are_standardised(news: pa.Table, news_codec: FeatureCodec) -> None:
    rows = news_codec.encode(news.slice(0, 8_000))
    assert rows.numbers.mean(axis=0, dtype=np.float64) == pytest.approx(0, abs=1e-5)
    assert rows.numbers.var(axis=0, dtype=np.float64) == pytest.approx(1, abs=1e-4)
    later = news_codec.encode(news.slice(8_000))
    assert np.abs(later.numbers).max() < 10


def test_stored_form_is_readable(news_codec: FeatureCodec, tmp_path: Path) -> None:
    news_codec.save(tmp_path)
    data = json.loads((tmp_path / "codec.json").read_text())
    assert data["fingerprint"] == news_codec.fingerprint
    assert [item["name"] for item in data["numbers"]] == list(news_codec.schema.numeric)
