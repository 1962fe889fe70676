"""From a catalogue to a fitted encoder: what is held out, what the codec saw, the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from streamrec.catalog.split import split_items
from streamrec.catalog.table import Catalog
from streamrec.config import RunConfig, parse_config
from streamrec.errors import CatalogError, ConfigError
from streamrec.fit import fit_item_encoder, load_history
from streamrec.layout import UNSEEN_CODE
from streamrec.models.batch import ItemBatch
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(item_id="id", categorical=("kind",), multi_label=("tags",), numeric=("price",))


def catalogue(folder: Path, rows: int, kinds: list[str] | None = None) -> Catalog:
    table = pa.table(
        {
            "id": list(range(rows)),
            "kind": kinds or ["book", "film", "song"] * (rows // 3) + ["book"] * (rows % 3),
            "tags": [["new"] if i % 2 else [] for i in range(rows)],
            "price": [None if i % 11 == 5 else float(i * i % 97) for i in range(rows)],
        }
    )
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / "items.parquet")
    return Catalog(folder / "items.parquet", SCHEMA)


def config(seed: int = 1, model: dict[str, Any] | None = None, **train: Any) -> RunConfig:
    small = {"epochs": 2, "batch_size": 16, "device": "cpu", "validation_share": 0.2}
    return parse_config(
        {
            "seed": seed,
            "generate": {"items": 1},
            "model": {"latent_dim": 3, "hidden": [8], **(model or {})},
            "train": {**small, **train},
        }
    )


def ids(rows: pa.Table) -> list[int]:
    return rows["id"].to_pylist()


@pytest.mark.parametrize(("rows", "held_out"), [(100, 20), (10, 2), (4, 1), (3, 1)])
def test_the_split_covers_every_item_once(tmp_path: Path, rows: int, held_out: int) -> None:
    split = split_items(catalogue(tmp_path, rows), config())
    assert len(ids(split.held_out)) == held_out
    assert sorted(ids(split.train) + ids(split.held_out)) == list(range(rows))


def test_two_items_are_left_to_train_on_whatever_the_share(tmp_path: Path) -> None:
    split = split_items(catalogue(tmp_path, 5), config(validation_share=0.99))
    assert (len(ids(split.train)), len(ids(split.held_out))) == (2, 3)


def test_the_seed_decides_which_items_are_held_out(tmp_path: Path) -> None:
    items = catalogue(tmp_path, 100)
    first, same, other = (ids(split_items(items, config(seed)).held_out) for seed in (1, 1, 2))
    assert first == same == sorted(first)
    assert first != other


def test_at_most_max_rows_items_are_split_and_train_and_evaluation_split_alike(tmp_path: Path) -> None:
    items, settings = catalogue(tmp_path, 100), config(max_rows=30)
    train, held_out = split_items(items, settings)
    assert len({*ids(train), *ids(held_out)}) == 30


def test_fewer_than_three_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"items\.parquet: found 2 items, expected at least 3"):
        split_items(catalogue(tmp_path, 2), config())


def test_three_items_make_an_encoder(tmp_path: Path) -> None:
    items = catalogue(tmp_path, 3)
    encoder, history = fit_item_encoder(items, config(), tmp_path / "run")
    assert len(history.epochs) == 2
    assert encoder.encode(items.table()).shape == (3, 3)


def test_the_codec_has_seen_training_rows_only(tmp_path: Path) -> None:
    held_out = set(ids(split_items(catalogue(tmp_path, 60), config()).held_out))
    kinds = ["secret" if i in held_out else "known" for i in range(60)]
    items = catalogue(tmp_path, 60, kinds)
    encoder, _ = fit_item_encoder(items, config(), tmp_path / "run")
    assert encoder.codec.layout.categorical == (("kind", 3),)
    codes = encoder.codec.encode(items.table()).categories[:, 0]
    assert {i for i in range(60) if codes[i] == UNSEEN_CODE} == held_out


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("codec", "model")
        for path in sorted((folder / kind).rglob("*"))
    }


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    items = catalogue(tmp_path, 60)
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        torch.rand(7)  # whatever was drawn before
        fit_item_encoder(items, config(seed), tmp_path / name)
    one, same, other = (files(tmp_path / name) for name in ("one", "same", "other"))
    assert {Path(name).name for name in one} >= {"codec.json", "weights.safetensors", "model.json"}
    assert one == same
    assert one["model/weights.safetensors"] != other["model/weights.safetensors"]


def test_what_was_written_is_what_was_returned(tmp_path: Path) -> None:
    items = catalogue(tmp_path, 60)
    encoder, history = fit_item_encoder(items, config(), tmp_path / "run")
    assert load_history(tmp_path / "run") == history
    text = (tmp_path / "run" / "history.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    loaded = ItemEncoder.load(tmp_path / "run")
    assert (loaded.encode(items.table()) == encoder.encode(items.table())).all()
    batch = ItemBatch.from_arrays(encoder.codec.encode(items.table()))
    torch.testing.assert_close(
        torch.from_numpy(encoder.encode(items.table())), encoder.model.embed(batch), rtol=1e-4, atol=1e-5
    )


def test_an_interrupted_fit_goes_on(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(numbers: dict[str, float]) -> None:
        if numbers["epoch"] == 2:
            raise Interrupted

    items, settings = catalogue(tmp_path, 60), config(epochs=4, checkpoint_every=1)
    fit_item_encoder(items, settings, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit_item_encoder(items, settings, tmp_path / "run", [interrupt])
    _, history = fit_item_encoder(items, settings, tmp_path / "run")
    assert history.resumed_from == 2
    assert files(tmp_path / "run") == files(tmp_path / "whole")


@pytest.mark.parametrize("condition", ["price", "colour"])
def test_a_condition_that_is_no_category_is_a_mistake_in_the_configuration(
    tmp_path: Path, condition: str
) -> None:
    items = catalogue(tmp_path, 30)
    with pytest.raises(ConfigError, match=rf"model\.condition: no categorical column '{condition}'"):
        fit_item_encoder(items, config(model={"condition": condition}), tmp_path / "run")
