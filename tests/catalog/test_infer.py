from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from streamrec.augmenters.settings import AugmentersConfig
from streamrec.catalog.generate import generate, preset_schema
from streamrec.catalog.infer import SHOWN_SETTINGS, InferredSchema, draft_config, infer_schema
from streamrec.catalog.ingest import ingest
from streamrec.config import GenerateConfig, RunConfig, load_config, parse_config
from streamrec.errors import CatalogError
from streamrec.schema import MultiLabelColumn

ROWS = 200
RNG = np.random.default_rng(7)
FLOATS = RNG.normal(size=ROWS)


def pick(values: Sequence[Any], rows: int = ROWS) -> list[Any]:
    """Values drawn with replacement."""
    return [values[i] for i in np.random.default_rng(5).integers(0, len(values), rows)]


def infer(tmp_path: Path, text: bool = False, **columns: Any) -> InferredSchema:
    """Infer a table with an id, a number and the given columns, stored as Parquet or CSV."""
    table = pa.table({"id": [f"i{n}" for n in range(ROWS)], "number": FLOATS, **columns})
    path = tmp_path / ("t.csv" if text else "t.parquet")
    (pyarrow.csv.write_csv if text else pq.write_table)(table, path)
    return infer_schema(str(path))


def role(inferred: InferredSchema, name: str) -> str:
    (column,) = [column for column in inferred.columns if column.name == name]
    return column.role


def genres(delimiter: str) -> list[str]:
    rng = np.random.default_rng(3)
    names = ["Action", "Comedy", "Drama", "War", "Sci-Fi"]
    return [delimiter.join(rng.permutation(names)[: rng.integers(1, 4)]) for _ in range(ROWS)]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("channel", pick(["world", "sport", "arts"]), "categorical"),
        ("flag", pick([True, False]), "categorical"),
        ("category_id", pick([1, 2, 3]), "categorical"),
        ("is_new", pick([0, 1]), "categorical"),
        ("author_id", list(range(ROWS)), "ignored"),
        ("stars", pick([1, 2, 3, 4, 5]), "numeric"),
        ("price", [float(i) for i in range(ROWS)], "numeric"),
        ("year", [str(y) for y in pick(range(1950, 2000))], "numeric"),
        ("zip", pick(["01234", "99999", "00001"]), "categorical"),
        ("title", [f"The tale of {i}" for i in range(ROWS)], "display"),
        ("author", [f"{a} {b}" for a in "ABCDEFGHIJ" for b in "KLMNOPQRSTUVWXYZabcd"], "display"),
        ("place", pick([f"{c}, {k}" for k in ("France", "Spain") for c in "ABCDE"]), "categorical"),
        ("grade", pick(["very good", "good", "bad", "very bad"]), "categorical"),
        ("body", ["word " * 100 + str(i) for i in range(ROWS)], "ignored"),
        ("constant", ["same"] * ROWS, "ignored"),
        ("zero", [0] * ROWS, "ignored"),
        ("rare", ["x"] * 5 + [None] * (ROWS - 5), "ignored"),
        ("half", ["x"] * 100 + [None] * 100, "categorical"),
        ("empty", [None] * ROWS, "ignored"),
        ("day", [date(2024, 1, 1) + timedelta(i % 30) for i in range(ROWS)], "timestamp"),
        ("posted", [f"2024-01-{1 + i % 28:02}T10:00:00Z" for i in range(ROWS)], "timestamp"),
        ("created_at", [1_700_000_000 + i for i in range(ROWS)], "timestamp"),
        ("views", [1_700_000_000 + i for i in range(ROWS)], "numeric"),
        ("day_count", pick([20, 21, 22]), "numeric"),
        ("tags", [["a", "b"], ["b"]] * (ROWS // 2), "multi_label"),
        ("vector", [[0.1, 0.2]] * ROWS, "ignored"),
        ("nested", [{"a": 1}] * ROWS, "ignored"),
        ("hash", pa.array([2**64 - 1 - i for i in range(ROWS)], pa.uint64()), "ignored"),
        ("gaps", [np.inf if i % 10 == 0 else i for i in range(ROWS)], "ignored"),
    ],
)
def test_role_follows_from_what_the_column_holds(
    tmp_path: Path, name: str, values: Any, expected: str
) -> None:
    inferred = infer(tmp_path, **{name: values})
    assert role(inferred, name) == expected
    assert inferred.schema.item_id == "id"


@pytest.mark.parametrize("delimiter", ["|", ";", ",", " ", ", "])
def test_labels_are_found_between_their_delimiter(tmp_path: Path, delimiter: str) -> None:
    inferred = infer(tmp_path, text=True, genres=genres(delimiter))
    expected = delimiter.strip() or " "
    assert inferred.schema.multi_label == (MultiLabelColumn(name="genres", delimiter=expected),)


def test_text_files_give_the_roles_of_typed_ones(tmp_path: Path) -> None:
    columns = {
        "channel": pick(["world", "sport"]),
        "views": pick(range(1000)),
        "ratio": FLOATS.tolist(),
        "published": [date(2024, 1, 1 + i % 28) for i in range(ROWS)],
        "title": [f"Title {i}" for i in range(ROWS)],
    }
    assert infer(tmp_path, **columns).schema == infer(tmp_path, text=True, **columns).schema


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"user_id": range(ROWS), "item_id": range(ROWS), "id": range(ROWS)}, "item_id"),
        ({"slug": range(ROWS), "id": range(ROWS)}, "id"),
        ({"title": range(ROWS), "sku": range(ROWS)}, "sku"),
        ({"rank": range(ROWS), "articleId": range(ROWS)}, "articleId"),
        ({"first": range(ROWS), "second": range(ROWS)}, "first"),
        ({"item_id": [0, *range(ROWS - 1)], "title": range(ROWS)}, "item_id"),
        ({"item_id": [i // 2 for i in range(ROWS)], "title": range(ROWS)}, "title"),
        ({"item_id": [None, *range(ROWS - 1)], "title": range(ROWS)}, "item_id"),
    ],
)
@pytest.mark.parametrize("text", [False, True])
def test_item_id_is_the_unique_column_with_the_likeliest_name(
    tmp_path: Path, columns: dict[str, Any], expected: str, text: bool
) -> None:
    cells = {
        name: [None if v is None else f"k{v}" if text else v for v in values]
        for name, values in columns.items()
    }
    pq.write_table(pa.table({**cells, "number": FLOATS}), tmp_path / "t.parquet")
    assert infer_schema(str(tmp_path / "t.parquet")).schema.item_id == expected


def test_a_table_without_an_id_or_without_a_feature_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    nearly = [f"t{max(i, 1)}" for i in range(ROWS)]
    pq.write_table(pa.table({"number": FLOATS, "title": nearly}), path)
    with pytest.raises(
        CatalogError, match=r"no column names the items: .* 'title' with 0 missing and 1 repeated"
    ):
        infer_schema(str(path))
    pq.write_table(pa.table({"id": range(ROWS), "title": [f"t{i}" for i in range(ROWS)]}), path)
    with pytest.raises(CatalogError, match="no column looks like a feature; found id, title"):
        infer_schema(str(path))
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), path)
    with pytest.raises(CatalogError, match="the table has no rows"):
        infer_schema(str(path))


def test_text_that_is_not_utf8_names_the_column(tmp_path: Path) -> None:
    offsets, data = pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")
    broken = pa.Array.from_buffers(pa.string(), 1, [None, offsets, data])
    pq.write_table(pa.table({"id": [1], "x": broken}), tmp_path / "t.parquet")
    with pytest.raises(CatalogError, match=r"t\.parquet: column 'x': cannot convert: .*UTF8"):
        infer_schema(str(tmp_path / "t.parquet"))


def test_one_date_is_the_timestamp_by_its_name(tmp_path: Path) -> None:
    days = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(ROWS)]
    inferred = infer(tmp_path, updated_at=days, seen=days, published=days)
    assert inferred.schema.timestamp == "published"
    assert {role(inferred, name) for name in ("updated_at", "seen")} == {"ignored"}


def test_a_few_odd_cells_do_not_change_a_column(tmp_path: Path) -> None:
    years = [str(y) for y in pick(range(1950, 2000))]
    eras = [str(y) for y in pick(range(1950, 2000, 10))]
    inferred = infer(tmp_path, year=["unknown", "V", *years[2:]], era=["unknown"] * 3 + eras[3:])
    assert role(inferred, "year") == "numeric"
    assert role(inferred, "era") == "categorical"
    (year,) = [column for column in inferred.columns if column.name == "year"]
    assert "2 cells are no finite number" in year.reason


def test_facts_are_counted_over_the_whole_table(tmp_path: Path) -> None:
    # Many batches, more distinct values than are kept, and the odd ones at the end.
    rows = 150_000
    table = pa.table(
        {
            "key": [f"k{i}" for i in range(rows - 1)] + ["k0"],
            "item_key": [f"i{i}" for i in range(rows)],
            "x": np.arange(rows, dtype=float),
            "late": ["a"] * (rows - 20_000) + ["b"] * 20_000,
            "gone": [*range(rows - 30_000), *[None] * 30_000],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    inferred = infer_schema(str(tmp_path / "t.parquet"))
    facts = {column.name: column.facts for column in inferred.columns}
    assert inferred.rows == rows
    assert inferred.schema.item_id == "item_key"
    assert facts["key"] == "text, 149,999 distinct, none missing"
    assert facts["x"] == "float, over 10,000 distinct, none missing, 0 to 149999"
    assert facts["late"] == "text, 2 distinct, none missing, most: a 87%, b 13%"
    assert "20% missing" in facts["gone"]


def test_draft_is_accepted_as_it_is_with_names_that_yaml_would_misread(tmp_path: Path) -> None:
    names = ["yes", "1", "a: b", "# c", "null", "é'\"", "new\nline", "- d"]
    table = pa.table({"no": range(ROWS), **{name: FLOATS for name in names}, "const: x\ny": [1] * ROWS})
    path = tmp_path / "it's a table: #1.parquet"
    pq.write_table(table, path)
    (tmp_path / "run.yaml").write_text(draft_config(str(path)))
    config = load_config(tmp_path / "run.yaml")
    assert config.features == infer_schema(str(path)).schema
    assert config.features is not None
    assert config.features.numeric == tuple(names)
    assert config.ingest is not None
    assert config.ingest.path == str(path)


def test_draft_shows_settings_at_their_defaults(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(ROWS), "x": FLOATS}), tmp_path / "t.dat")
    draft = draft_config(str(tmp_path / "t.dat"), "parquet")
    plain = RunConfig.model_validate(yaml.safe_load(draft))
    head, tail = draft.split("# Settings")
    shown = tail.split("\n", 1)[1].replace("# ", "").replace("  a small table", "  # a small table")
    loud = parse_config({**yaml.safe_load(head), **yaml.safe_load(shown)})
    assert loud == plain
    assert plain.ingest is not None
    assert plain.ingest.format == "parquet"
    assert all(setting.rpartition(".")[2] + ":" in shown for setting in SHOWN_SETTINGS)


def test_a_small_table_is_trained_for_more_epochs(tmp_path: Path) -> None:
    drafted = {}
    for rows in (1_682, 9_874, 100_000):
        pq.write_table(pa.table({"id": range(rows), "x": np.arange(rows) / 7}), tmp_path / "t.parquet")
        drafted[rows] = yaml.safe_load(draft_config(str(tmp_path / "t.parquet"))).get("train", {})
    assert drafted == {1_682: {"epochs": 170}, 9_874: {}, 100_000: {}}


def test_a_draft_offers_augmenters_with_steps_that_fit_the_table(tmp_path: Path) -> None:
    offered = {}
    for rows in (200, 3_400, 100_000):
        pq.write_table(pa.table({"id": range(rows), "x": np.arange(rows) / 7}), tmp_path / "t.parquet")
        draft = draft_config(str(tmp_path / "t.parquet"))
        assert "augmenters" not in yaml.safe_load(draft), "a run is not to take longer unasked"
        head, tail = draft.split("# augmenters:\n")
        section = tail.split("\n\n")[0].replace("# ", "")
        config = parse_config({**yaml.safe_load(head), **yaml.safe_load("augmenters:\n" + section)})
        assert config.augmenters is not None
        assert config.augmenters.families == ("vae", "diffusion", "flow")
        offered[rows] = config.augmenters.fit.steps
    assert offered == {200: 2_000, 3_400: 7_000, 100_000: AugmentersConfig().fit.steps}


@pytest.mark.parametrize("preset", ["independent", "structured"])
def test_generated_tables_are_inferred_as_they_were_made(tmp_path: Path, preset: Any) -> None:
    path = tmp_path / "t.parquet"
    generate(GenerateConfig(preset=preset, items=2_000), path)
    assert infer_schema(str(path)).schema == preset_schema(preset)


def test_news_needs_no_edit(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "run.yaml").write_text(draft_config(str(real_data / "news" / "news.parquet")))
    config = load_config(tmp_path / "run.yaml")
    assert config.features is not None
    assert config.ingest is not None
    assert config.features.item_id == "item_id"
    assert config.features.timestamp == "published"
    assert config.features.categorical == ("channel", "weekday")
    assert len(config.features.numeric) == 45
    assert len(config.features.columns) == 49
    result = ingest(config.ingest, config.features, tmp_path / "run")
    assert (result.rows_read, result.rows_refused) == (9874, 0)


def test_movies_need_no_edit(tmp_path: Path, real_data: Path) -> None:
    (tmp_path / "run.yaml").write_text(draft_config(str(real_data / "ml-100k" / "ml-100k.item")))
    config = load_config(tmp_path / "run.yaml")
    assert config.features is not None
    assert config.ingest is not None
    assert config.features.model_dump(exclude_defaults=True) == {
        "item_id": "item_id",
        "multi_label": ({"name": "class", "delimiter": " "},),
        "numeric": ("release_year",),
        "display": ("movie_title",),
    }
    result = ingest(config.ingest, config.features, tmp_path / "run")
    assert (result.rows_read, result.reasons) == (1682, {"not_a_number:release_year": 2})
