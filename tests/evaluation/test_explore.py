"""Decoded rows are modes, samples are rows the catalogue could hold, a path ends where it should."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from small_encoders import SCHEMA, encoder_of, item_table, take

from streamrec.evaluation.explore import (
    interpolation,
    neighbour_examples,
    prior_samples,
    reconstruct,
)
from streamrec.evaluation.outputs import PATH, QUERY, RANK, SIMILARITY
from streamrec.layout import FIRST_ATOM_STATE, FIRST_CATEGORY_CODE, MISSING_STATE, UNSEEN_CODE
from streamrec.models.batch import ItemBatch
from streamrec.models.item_vae import IGNORE, Decoded, ItemVAE
from streamrec.schema import FeatureSchema

TABLE = item_table(200)
NUMBERS = ("price", "length")


def certain(model: ItemVAE, items: ItemBatch) -> Decoded:
    """A decoder's output that is sure of exactly these items."""
    targets = model.prepare(items).targets
    widths = [
        size - FIRST_CATEGORY_CODE + (name in model.layout.nullable)
        for name, size in model.layout.categorical
    ]
    condition = [name for name, _ in model.layout.categorical].index(model.config.condition or "year")
    chosen = [c for c in range(len(widths)) if model.config.condition is None or c != condition]
    one_hot = [torch.nn.functional.one_hot(targets[:, c].clamp(min=0), widths[c]).float() for c in chosen]
    states = torch.nn.functional.one_hot(targets[:, len(widths) :], model.state_mask.shape[1]).float()
    return Decoded(
        numbers=items.numbers,
        labels=items.labels - 0.5,
        categories=tuple(one_hot),
        states=states.masked_fill(~model.state_mask, -math.inf),
    )


@pytest.mark.parametrize("condition", [None, "kind", "year"])
def test_the_most_likely_item_of_a_sure_decoder_is_that_item(condition: str | None) -> None:
    encoder = encoder_of(TABLE, condition=condition)
    items = ItemBatch.from_arrays(encoder.codec.encode(TABLE))
    assert (items.states == MISSING_STATE).any()
    assert (items.states >= FIRST_ATOM_STATE).any()
    assert (items.categories == 0).any()

    found = encoder.model.most_likely(certain(encoder.model, items), items)

    for kind in ("categories", "labels", "numbers", "states"):
        torch.testing.assert_close(getattr(found, kind), getattr(items, kind), rtol=0, atol=0)


@pytest.mark.parametrize(
    "schema",
    [
        FeatureSchema(item_id="id", numeric=("size", "weight")),
        FeatureSchema(item_id="id", categorical=("year",)),
        FeatureSchema(item_id="id", multi_label=("tags",)),
    ],
)
def test_rows_without_one_kind_of_column_decode(schema: FeatureSchema) -> None:
    draw = np.random.default_rng(3)
    complete = TABLE.append_column("size", pa.array(draw.normal(size=200)))
    complete = complete.append_column("weight", pa.array(draw.normal(size=200)))
    encoder = encoder_of(complete, schema)
    samples = prior_samples(encoder.model, encoder.codec, 20, seed=1)
    assert samples.column_names == list(schema.feature_columns)
    assert len(samples) == 20


def test_a_conditional_model_repeats_the_condition_it_was_given_even_unseen() -> None:
    encoder = encoder_of(TABLE, condition="kind")
    items = ItemBatch.from_arrays(encoder.codec.encode(TABLE))
    unseen = items.categories.clone()
    unseen[:, 0] = UNSEEN_CODE
    given = ItemBatch(unseen, items.labels, items.numbers, items.states)
    assert (encoder.model.prepare(given).targets[:, 0] == IGNORE).all()
    assert (
        encoder.model.most_likely(certain(encoder.model, items), given).categories[:, 0] == UNSEEN_CODE
    ).all()
    with pytest.raises(ValueError, match="conditional"):
        encoder.model.most_likely(certain(encoder.model, items))


@pytest.mark.parametrize("condition", [None, "kind"])
def test_samples_of_the_prior_are_rows_the_catalogue_could_hold(condition: str | None) -> None:
    encoder = encoder_of(TABLE, condition=condition)
    rows = encoder.codec.encode(TABLE)
    samples = prior_samples(encoder.model, encoder.codec, 500, seed=1, condition=rows)

    assert samples.column_names == list(SCHEMA.feature_columns)
    assert len(samples) == 500
    for name in ("kind", "year"):
        assert set(samples[name].to_pylist()) <= set(TABLE[name].to_pylist())
        assert len(set(samples[name].to_pylist())) > 1
    assert set(pc.list_flatten(samples["tags"]).to_pylist()) <= {"a", "b", "c", "d"}
    for name in NUMBERS:
        drawn, known = pc.min_max(samples[name]).as_py(), pc.min_max(TABLE[name]).as_py()
        assert known["min"] <= drawn["min"] < drawn["max"] <= known["max"]
    assert samples["length"].null_count == 0, "no training row lacks a length"


def test_samples_depend_on_the_seed_and_on_nothing_else() -> None:
    encoder = encoder_of(TABLE)
    first = prior_samples(encoder.model, encoder.codec, 50, seed=1)
    torch.manual_seed(99)
    assert prior_samples(encoder.model, encoder.codec, 50, seed=1).equals(first)
    assert not prior_samples(encoder.model, encoder.codec, 50, seed=2).equals(first)


def test_a_model_given_no_condition_to_sample_with_says_so() -> None:
    encoder = encoder_of(TABLE, condition="kind")
    with pytest.raises(ValueError, match="condition"):
        prior_samples(encoder.model, encoder.codec, 5, seed=1)


@pytest.mark.parametrize("condition", [None, "kind"])
@pytest.mark.parametrize("steps", [2, 9])
def test_both_ends_of_a_path_are_the_items_own_reconstructions(condition: str | None, steps: int) -> None:
    encoder = encoder_of(TABLE, condition=condition)
    rows = encoder.codec.encode(TABLE)
    kinds = TABLE["kind"].to_pylist()
    first, second = kinds.index("film"), kinds.index("short")
    ends = take(rows, first, second)
    own = reconstruct(encoder.model, encoder.codec, encoder.model.embed(ItemBatch.from_arrays(ends)), ends)

    latents, path = interpolation(encoder.model, encoder.codec, ends, steps)

    assert path[PATH].to_pylist() == pytest.approx(np.linspace(0, 1, steps).tolist())
    np.testing.assert_allclose(np.diff(latents, n=2, axis=0), 0, atol=1e-5)
    assert np.abs(latents[0] - latents[-1]).max() > 0.01
    reached = path.take(pa.array([0, steps - 1]))
    for name in SCHEMA.feature_columns:
        if name == "price":
            assert reached[name].to_pylist() == pytest.approx(own[name].to_pylist(), rel=1e-4)
        else:
            assert reached[name].to_pylist() == own[name].to_pylist()
    if condition:
        assert reached["kind"].to_pylist() == ["film", "short"]
        assert path["kind"].to_pylist() == ["film"] * (steps - steps // 2) + ["short"] * (steps // 2)


def test_neighbours_on_a_circle_are_those_at_the_next_angles() -> None:
    degrees = np.array([0.0, 10, 30, 60, 100, 150])
    radii = np.array([1.0, 9, 0.1, 5, 2, 3])[:, None]
    angles = np.radians(degrees)
    latents = (radii * np.column_stack([np.cos(angles), np.sin(angles)])).astype(np.float32)
    items = pa.table({"id": pa.array([f"at {angle:.0f}" for angle in degrees]), "angle": degrees})

    found = neighbour_examples(items, latents, "id", np.array([1, 4]), k=2)

    assert found[QUERY].to_pylist() == ["at 10"] * 3 + ["at 100"] * 3
    assert found[RANK].to_pylist() == [0, 1, 2, 0, 1, 2]
    assert found["id"].to_pylist() == ["at 10", "at 0", "at 30", "at 100", "at 60", "at 150"]
    away = np.radians([0, 10, 20, 0, 40, 50])
    np.testing.assert_allclose(found[SIMILARITY].to_numpy(), np.cos(away), atol=1e-6)


def test_a_small_catalogue_gives_fewer_neighbours() -> None:
    items = pa.table({"id": [7, 8, 9]})
    latents = np.eye(3, dtype=np.float32)
    found = neighbour_examples(items, latents, "id", np.array([2]), k=10)
    assert sorted(found["id"].to_pylist()) == [7, 8, 9]
    assert found["id"][0].as_py() == 9
