"""What is written about an encoder: on held-out items, the same bytes again, for every kind of table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from small_encoders import SCHEMA, Encoder, catalog_of, encoder_of, item_table

from streamrec.catalog.split import split_items
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig, parse_config
from streamrec.evaluation.evaluate import (
    EXAMPLE_NEIGHBOURS,
    EXAMPLES,
    evaluate_item_encoder,
)
from streamrec.evaluation.outputs import (
    FIRST,
    INTERPOLATION,
    LAST,
    NEIGHBOURS,
    PICTURES,
    QUALITY,
    QUERY,
    RANK,
    SAMPLES,
    SIMILARITY,
)
from streamrec.evaluation.quality import LatentQuality
from streamrec.models.batch import ItemBatch
from streamrec.schema import FeatureSchema
from streamrec.training.history import History

ROWS = 300
HISTORY = History([{"epoch": 1, "train_loss": 3.0, "valid_loss": 2.5, "beta": 0.1, "seconds": 0.5}], 1)
FILES = {QUALITY, SAMPLES, NEIGHBOURS, INTERPOLATION, *PICTURES}


def config_of(**settings: Any) -> RunConfig:
    return parse_config({"generate": {}, "train": {"validation_share": 0.2}, **settings})


def evaluated(catalog: Catalog, encoder: Encoder, folder: Path, **settings: Any) -> LatentQuality:
    return evaluate_item_encoder(catalog, encoder, HISTORY, config_of(**settings), folder)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Encoder, Path, LatentQuality]:
    folder = tmp_path_factory.mktemp("example")
    table = item_table(ROWS)
    catalog, encoder = catalog_of(table, folder), encoder_of(table)
    return catalog, encoder, folder / "evaluation", evaluated(catalog, encoder, folder / "evaluation")


def test_everything_promised_is_written(example: tuple[Catalog, Encoder, Path, LatentQuality]) -> None:
    _, _, folder, quality = example
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / QUALITY).read_text()) == json.loads(json.dumps(quality.to_dict()))


def test_examples_are_of_held_out_items(example: tuple[Catalog, Encoder, Path, LatentQuality]) -> None:
    catalog, _, folder, _ = example
    train, held_out = split_items(catalog, config_of())
    held_out_ids = set(held_out["id"].to_pylist())
    neighbours = pq.read_table(folder / NEIGHBOURS)
    asked = neighbours.filter(pc.equal(neighbours[RANK], 0))

    assert len(neighbours) == EXAMPLES * (1 + EXAMPLE_NEIGHBOURS)
    assert asked["id"].to_pylist() == asked[QUERY].to_pylist()
    assert set(asked["id"].to_pylist()) <= held_out_ids
    assert len(set(asked["id"].to_pylist())) == EXAMPLES
    assert set(neighbours["id"].to_pylist()) & set(train["id"].to_pylist()), "neighbours come from all items"
    path = pq.read_table(folder / INTERPOLATION)
    ends = {path[FIRST][0].as_py(), path[LAST][0].as_py()}
    assert len(ends) == 2
    assert ends <= held_out_ids


def test_neighbours_carry_the_catalogues_own_cells_and_fall_in_cosine(
    example: tuple[Catalog, Encoder, Path, LatentQuality],
) -> None:
    catalog, encoder, folder, _ = example
    neighbours = pq.read_table(folder / NEIGHBOURS)
    rows = {row["id"]: row for row in catalog.table().to_pylist()}
    latents = dict(zip(rows, _latents(catalog, encoder), strict=True))
    everything = np.stack(list(latents.values()))
    for row in neighbours.to_pylist():
        assert {name: row[name] for name in SCHEMA.columns} == rows[row["id"]]
        assert row[SIMILARITY] == pytest.approx(_cosine(latents[row[QUERY]], latents[row["id"]]), abs=1e-5)
        if row[RANK] == EXAMPLE_NEIGHBOURS:
            asked = latents[row[QUERY]]
            cosines = sorted((_cosine(asked, other) for other in everything), reverse=True)
            assert row[SIMILARITY] == pytest.approx(cosines[EXAMPLE_NEIGHBOURS], abs=1e-5)


def test_the_same_encoder_gives_the_same_bytes(
    example: tuple[Catalog, Encoder, Path, LatentQuality], tmp_path: Path
) -> None:
    catalog, encoder, folder, _ = example
    evaluated(catalog, encoder, tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_another_seed_draws_other_examples(
    example: tuple[Catalog, Encoder, Path, LatentQuality], tmp_path: Path
) -> None:
    catalog, encoder, folder, _ = example
    evaluated(catalog, encoder, tmp_path, seed=7)
    for name in (NEIGHBOURS, SAMPLES, INTERPOLATION):
        assert not pq.read_table(tmp_path / name).equals(pq.read_table(folder / name)), name


@pytest.mark.parametrize(
    ("roles", "settings"),
    [
        ({"numeric": ("price", "length")}, {}),
        ({"categorical": ("kind",)}, {}),
        ({"multi_label": ("tags",)}, {}),
        ({"multi_label": ("tags",), "numeric": ("price",)}, {}),
        ({"categorical": ("kind", "year"), "numeric": ("price",)}, {"condition": "kind"}),
        ({"categorical": ("kind",), "numeric": ("price",)}, {"latent_dim": 1}),
    ],
    ids=["numbers", "category", "labels", "labels and number", "conditional", "one unit"],
)
def test_every_kind_of_table_is_evaluated(
    roles: dict[str, Any], settings: dict[str, Any], tmp_path: Path
) -> None:
    schema = FeatureSchema(item_id="id", **roles)
    table = item_table(60)
    catalog = catalog_of(table, tmp_path, schema)
    quality = evaluated(catalog, encoder_of(table, schema, **settings), tmp_path / "evaluation")
    assert {path.name for path in (tmp_path / "evaluation").iterdir()} == FILES
    assert np.isfinite(list(quality.metrics().values())).all()


def test_a_handful_of_items_is_evaluated(tmp_path: Path) -> None:
    table = item_table(8)
    catalog = catalog_of(table, tmp_path)
    evaluated(catalog, encoder_of(table), tmp_path / "evaluation")
    neighbours = pq.read_table(tmp_path / "evaluation" / NEIGHBOURS)
    assert neighbours[RANK].to_pylist() == list(range(1 + EXAMPLE_NEIGHBOURS)) * 2


def test_large_tables_are_sampled(tmp_path: Path) -> None:
    table = item_table(500)
    catalog = catalog_of(table, tmp_path)
    settings = {"queries": 10, "reference_rows": 100}
    quality = evaluated(catalog, encoder_of(table), tmp_path / "evaluation", evaluate=settings)
    assert (quality.queries, quality.reference) == (10, 100)
    assert len(pq.read_table(tmp_path / "evaluation" / NEIGHBOURS)) == EXAMPLES * (1 + EXAMPLE_NEIGHBOURS)


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    table = item_table(60)
    told: list[tuple[int, int | None]] = []
    evaluate_item_encoder(
        catalog_of(table, tmp_path),
        encoder_of(table),
        HISTORY,
        config_of(),
        tmp_path / "evaluation",
        lambda done, total: told.append((done, total)),
    )
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (3, 3)


def _latents(catalog: Catalog, encoder: Encoder) -> np.ndarray:
    rows: pa.Table = catalog.table()
    return encoder.model.embed(ItemBatch.from_arrays(encoder.codec.encode(rows))).numpy()


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
