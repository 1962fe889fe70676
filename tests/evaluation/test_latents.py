"""What is measured of a latent, on tables and models whose answers are known by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from streamrec.catalog.encoded import EncodedRows
from streamrec.catalog.generate import generate, preset_schema
from streamrec.catalog.split import split_items
from streamrec.config import EvaluateConfig, parse_config
from streamrec.evaluation.latents import evaluate_latents, feature_matrix
from streamrec.evaluation.quality import LatentQuality
from streamrec.fit import fit_item_encoder
from streamrec.layout import MISSING_STATE, UNSEEN_CODE, FeatureLayout
from streamrec.models.item_vae import Decoded, ItemVAE, Prepared
from streamrec.models.settings import ItemVAEConfig

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

NUMBERS = FeatureLayout(categorical=(("kind", 4),), numeric=(("x", 2), ("y", 2)))
SETTINGS = EvaluateConfig(queries=50, reference_rows=200, k=5)


def table(n: int, layout: FeatureLayout = NUMBERS, seed: int = 0, **arrays: Any) -> EncodedRows:
    """`n` random items of two kinds, the second with numbers 3 larger; `arrays` replace whole parts."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, n)
    numbers = rng.standard_normal((n, len(layout.numeric))) + 3 * kinds[:, None]
    parts: dict[str, Any] = {
        "categories": np.repeat(kinds[:, None] + 2, len(layout.categorical), 1),
        "labels": np.zeros((n, layout.label_width)),
        "numbers": numbers,
        "states": np.zeros(numbers.shape),
        **arrays,
    }
    kept = {"categories": np.int64, "labels": np.float32, "numbers": np.float32, "states": np.int64}
    return EncodedRows(**{name: np.asarray(parts[name], dtype=dtype) for name, dtype in kept.items()})


class Known(ItemVAE):
    """Its latent mean is the numbers, its log-variance 0; what it decodes is given."""

    def __init__(self, layout: FeatureLayout, decoded: Callable[[Prepared], dict[str, Any]]) -> None:
        super().__init__(layout, ItemVAEConfig(latent_dim=max(len(layout.numeric), 1), hidden=(4,)))
        self.known = decoded
        self.eval()

    def encode(self, prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
        mean = prepared.inputs[:, : self.config.latent_dim]
        return mean, torch.zeros_like(mean)

    def decode(self, latents: torch.Tensor, prepared: Prepared | None = None) -> Decoded:
        assert prepared is not None
        return super().decode(latents, prepared)._replace(**self.known(prepared))


def measured(
    train: EncodedRows,
    held_out: EncodedRows,
    decoded: Callable[[Prepared], dict[str, Any]] = lambda _: {},
    layout: FeatureLayout = NUMBERS,
    settings: EvaluateConfig = SETTINGS,
) -> LatentQuality:
    codec: Any = SimpleNamespace(layout=layout)
    return evaluate_latents(Known(layout, decoded), codec, train, held_out, settings, seed=0)


def perfect(prepared: Prepared) -> dict[str, Any]:
    return {"numbers": prepared.inputs[:, :2]}


def test_a_perfect_reconstruction_keeps_all_of_the_variance() -> None:
    quality = measured(table(300), table(60, seed=1), perfect)
    assert quality.spaces["latent"].variance_kept == 1
    assert [column["explained"] for column in quality.columns if column["kind"] == "number"] == [1, 1]
    assert quality.spaces["features"].variance_kept == 1


def test_knowing_the_mean_of_the_category_keeps_none_of_it() -> None:
    train = table(300)
    means = np.array([train.numbers[train.categories[:, 0] == code].mean(0) for code in (2, 3)])

    def decoded(prepared: Prepared) -> dict[str, Any]:
        return {"numbers": torch.from_numpy(means)[prepared.targets[:, 0]].float()}

    quality = measured(train, table(60, seed=1), decoded)
    assert quality.spaces["latent"].variance_kept == pytest.approx(0, abs=1e-5)
    # The category explains numbers all the same: kinds are 3 apart.
    assert all(column["explained"] > 0.5 for column in quality.columns if column["kind"] == "number")


def test_half_of_every_deviation_keeps_three_quarters() -> None:
    train = table(300, FeatureLayout(numeric=(("x", 2), ("y", 2))))
    mean = torch.from_numpy(train.numbers.mean(0))
    quality = measured(
        train,
        table(60, FeatureLayout(numeric=(("x", 2), ("y", 2))), seed=1),
        lambda prepared: {"numbers": (prepared.inputs[:, :2] + mean) / 2},
        FeatureLayout(numeric=(("x", 2), ("y", 2))),
    )
    # Without a categorical column all items are one category.
    assert quality.spaces["latent"].variance_kept == pytest.approx(0.75, abs=1e-5)
    assert quality.spaces["latent"].purity == {}


def test_missing_cells_do_not_count() -> None:
    layout = FeatureLayout(categorical=(("kind", 4),), numeric=(("x", 2), ("y", 2)), nullable=("x",))
    states = np.zeros((60, 2))
    states[::3, 0] = MISSING_STATE
    held_out = table(60, layout, seed=1)
    held_out = table(
        60, layout, seed=1, states=states, numbers=np.where(states == MISSING_STATE, 0, held_out.numbers)
    )

    def decoded(prepared: Prepared) -> dict[str, Any]:
        numbers = prepared.inputs[:, :2]
        return {"numbers": torch.where(prepared.weights > 0, numbers, 1e3)}

    train = table(300, layout)
    quality = measured(train, held_out, decoded, layout)
    assert quality.spaces["latent"].variance_kept == 1
    assert [column["explained"] for column in quality.columns if column["kind"] == "number"] == [1, 1]

    means = np.array([train.numbers[train.categories[:, 0] == code].mean(0) for code in (2, 3)])
    quality = measured(
        train,
        held_out,
        lambda prepared: {"numbers": torch.from_numpy(means)[prepared.targets[:, 0]].float()},
        layout,
    )
    assert quality.spaces["latent"].variance_kept == pytest.approx(0, abs=1e-5)


def test_without_numbers_there_is_no_variance_to_keep() -> None:
    layout = FeatureLayout(categorical=(("kind", 4),), multi_label=(("tags", 2),))
    rng = np.random.default_rng(0)
    train, held_out = (
        table(n, layout, seed=n, labels=rng.integers(0, 2, (n, 2)), numbers=np.zeros((n, 0)))
        for n in (90, 30)
    )
    quality = measured(train, held_out, layout=layout)
    assert quality.spaces["latent"].variance_kept is None
    assert "latent_variance_kept" not in quality.metrics()
    assert [column["kind"] for column in quality.columns] == ["category", "labels"]


def test_neighbours_in_an_equal_space_are_all_found() -> None:
    layout = FeatureLayout(numeric=(("x", 2), ("y", 2)))
    quality = measured(table(300, layout), table(60, layout, seed=1), layout=layout)
    for space in ("latent", "pca", "features"):
        assert quality.spaces[space].neighbour_recall_euclidean == 1
        # In two dimensions the direction alone is far from enough.
        assert quality.spaces[space].neighbour_recall < 0.9
    assert (quality.queries, quality.reference, quality.k) == (50, 200, 5)


def test_units_are_active_when_their_means_vary() -> None:
    layout = FeatureLayout(numeric=(("x", 2), ("y", 2), ("z", 2)))
    deviations = np.array([2.0, 0.05, 0.2])
    means = np.array([0.0, 3.0, 0.0])
    train, held_out = (
        table(n, layout, numbers=np.random.default_rng(n).standard_normal((n, 3)) * deviations + means)
        for n in (3_000, 2_000)
    )
    settings = EvaluateConfig(queries=10, reference_rows=5_000)
    quality = measured(train, held_out, layout=layout, settings=settings)
    assert quality.active_units == 2
    assert quality.mean_variance == pytest.approx(deviations**2, rel=0.1)
    assert quality.kl_per_unit == pytest.approx((deviations**2 + means**2) / 2, rel=0.1)


def test_a_category_explained_by_its_frequencies_is_not_explained() -> None:
    """Also where half of the training cells are unseen: the decoder has no class for these."""
    layout = FeatureLayout(categorical=(("kind", 5),), numeric=(("x", 2),), nullable=("kind",))
    codes = np.array([UNSEEN_CODE] * 400 + [0] * 40 + [2] * 160 + [3] * 120 + [4] * 80)[:, None]
    frequencies = torch.tensor([0.1, 0.4, 0.3, 0.2])  # of missing and the three categories
    train, held_out = table(800, layout, categories=codes), table(160, layout, categories=codes[::5])
    quality = measured(
        train,
        held_out,
        lambda prepared: {"categories": (frequencies.log().expand(len(prepared.inputs), 4),)},
        layout,
    )
    (kind,) = (column for column in quality.columns if column["column"] == "kind")
    assert kind["explained"] == pytest.approx(0, abs=1e-4)
    assert kind["accuracy"] == pytest.approx(0.4)


def test_a_sure_and_right_category_is_explained() -> None:
    def decoded(prepared: Prepared) -> dict[str, Any]:
        return {"categories": (torch.nn.functional.one_hot(prepared.targets[:, 0], 2) * 50.0,)}

    (kind, *_) = measured(table(300), table(60, seed=1), decoded).columns
    assert (kind["explained"], kind["accuracy"]) == (1, 1)


def test_labels_explained_by_their_rates_are_not_explained() -> None:
    layout = FeatureLayout(multi_label=(("tags", 2),), numeric=(("x", 2),))
    labels = np.zeros((200, 2))
    labels[:40, 0] = labels[::2, 1] = 1
    rows = table(200, layout, labels=labels)
    rates = torch.tensor([0.2, 0.5])
    quality = measured(
        rows, rows, lambda prepared: {"labels": torch.logit(rates).expand(len(prepared.inputs), 2)}, layout
    )
    (tags, _) = quality.columns
    assert tags["explained"] == pytest.approx(0, abs=1e-5)


def test_a_column_with_nothing_to_compare_is_not_judged() -> None:
    """All held-out categories unseen, all numbers missing: no figure, no NaN, no warning."""
    layout = FeatureLayout(categorical=(("kind", 4),), numeric=(("x", 2),), nullable=("x",))
    held_out = table(
        20,
        layout,
        categories=np.full((20, 1), UNSEEN_CODE),
        numbers=np.zeros((20, 1)),
        states=np.full((20, 1), MISSING_STATE),
    )
    quality = measured(table(100, layout), held_out, layout=layout)
    assert [column["explained"] for column in quality.columns] == [None, None]
    assert quality.columns[0]["accuracy"] is None
    assert quality.spaces["latent"].variance_kept is None
    json.dumps(quality.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("train", "held_out"), [(2, 1), (4, 2), (1, 2)])
def test_tiny_tables_are_measured(train: int, held_out: int) -> None:
    quality = measured(table(train), table(held_out, seed=1), perfect)
    assert quality.k == min(SETTINGS.k, train + held_out - 1)
    assert quality.queries == held_out
    assert quality.reference == train + held_out
    # Every other item is asked for, and so found.
    assert all(space.neighbour_recall == 1 for space in quality.spaces.values())
    json.dumps(quality.to_dict(), allow_nan=False)


def test_the_seed_decides_the_sample_and_nothing_else() -> None:
    codec: Any = SimpleNamespace(layout=NUMBERS)
    model = Known(NUMBERS, perfect)
    sets = table(300), table(60, seed=1)
    first, same, other = (
        evaluate_latents(model, codec, *sets, SETTINGS, seed).metrics() for seed in (1, 1, 2)
    )
    assert first == same != other


def test_metrics_are_named_after_space_and_column() -> None:
    layout = FeatureLayout(
        categorical=(("kind", 4),), multi_label=(("tags", 3),), numeric=(("x", 2), ("y", 2))
    )
    found = measured(table(300, layout), table(60, layout, seed=1), layout=layout).metrics()
    names = {
        f"{space}_{name}"
        for space in ("latent", "pca", "features")
        for name in (
            "neighbour_recall",
            "neighbour_recall_euclidean",
            "variance_kept",
            "purity_kind",
            "overlap_tags",
        )
    }
    assert found.keys() == {"active_units", *names}
    assert all(math.isfinite(value) for value in found.values())


def test_a_category_is_three_long_in_the_feature_space() -> None:
    rows = table(2, categories=[[2], [3]], numbers=np.zeros((2, 2)))
    first, second = feature_matrix(rows, NUMBERS)
    assert np.linalg.norm(first - second) == pytest.approx(3 * math.sqrt(2))
    assert np.linalg.norm(first) == 3


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_default_model_keeps_what_the_independent_preset_holds(tmp_path: Path) -> None:
    config = parse_config({"generate": {"preset": "independent", "items": 20_000}})
    assert config.generate is not None
    items = generate(config.generate, tmp_path / "items.parquet")
    assert items.schema == preset_schema("independent")
    encoder, _ = fit_item_encoder(items, config, tmp_path / "run")
    split = split_items(items, config)
    train, held_out = encoder.codec.encode(split.train), encoder.codec.encode(split.held_out)
    quality = evaluate_latents(encoder.model, encoder.codec, train, held_out, config.evaluate, config.seed)
    latent = quality.spaces["latent"]
    assert latent.variance_kept is not None
    assert latent.variance_kept >= 0.60, quality.metrics()
    assert latent.neighbour_recall >= 0.31, quality.metrics()
    assert latent.purity["category"] >= 0.99, quality.metrics()
    assert quality.active_units == 16
