"""What every family promises, on a table with a category, labels, zeros, integers and missing cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from kinds import FAMILIES, QUICK, Items, make_table

from streamrec.augmenters.augmenter import TableAugmenter
from streamrec.augmenters.fit import fit_augmenter
from streamrec.augmenters.store import ARRAYS, DESCRIPTION, load_augmenter
from streamrec.errors import BundleError, CatalogError, SamplingError

Augmenters = dict[str, TableAugmenter]
every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
def test_samples_have_the_columns_types_and_bounds_of_the_catalogue(
    augmenters: Augmenters, items: Items, family: str
) -> None:
    sample = augmenters[family].sample(700, seed=1)
    features = items.table.drop_columns(["id"])
    assert len(sample) == 700
    assert sample.schema.names == features.schema.names
    assert [field.type for field in sample.schema] == [field.type for field in features.schema]
    for name in ("x", "y", "z"):
        low, high = pc.min_max(features[name]).as_py().values()
        found = pc.min_max(sample[name]).as_py()
        assert low <= found["min"] <= found["max"] <= high
    assert set(sample["kind"].to_pylist()) <= {"a", "b"}
    assert sample["kind"].null_count == 0


@every_family
def test_the_same_seed_gives_the_same_rows_and_another_others(augmenters: Augmenters, family: str) -> None:
    augmenter = augmenters[family]
    assert augmenter.sample(50, seed=3).equals(augmenter.sample(50, seed=3))
    assert not augmenter.sample(50, seed=3).equals(augmenter.sample(50, seed=4))


@every_family
def test_a_saved_augmenter_draws_the_same_rows(augmenters: Augmenters, family: str, tmp_path: Path) -> None:
    augmenters[family].save(tmp_path)
    again = load_augmenter(tmp_path)
    assert again.family == family
    assert again.sample(60, seed=5).equals(augmenters[family].sample(60, seed=5))
    augmenters[family].save(tmp_path / "again")
    assert (tmp_path / "again" / ARRAYS).read_bytes() == (tmp_path / ARRAYS).read_bytes()


@pytest.mark.parametrize("family", ["vae", "diffusion", "flow"])
def test_exact_zeros_and_missing_cells_occur_as_often_as_in_the_catalogue(
    augmenters: Augmenters, items: Items, family: str
) -> None:
    sample = augmenters[family].sample(1_500, seed=2)
    for table_share, found in (
        (share_of_zeros(items.table), share_of_zeros(sample)),
        (items.table["z"].null_count / 1_500, sample["z"].null_count / 1_500),
    ):
        assert found == pytest.approx(table_share, abs=0.06)


def share_of_zeros(table: pa.Table) -> float:
    return float(np.mean(np.asarray(table["y"]) == 0))


@pytest.mark.parametrize("family", ["latent_diffusion", "latent_flow", "diffusion", "flow"])
def test_numbers_follow_their_category(augmenters: Augmenters, family: str) -> None:
    sample = augmenters[family].sample(1_000, seed=6).to_pandas()
    means = sample.groupby("kind")["x"].mean()
    assert means["a"] == pytest.approx(0, abs=0.8)
    assert means["b"] == pytest.approx(6, abs=0.8)
    assert sample["kind"].eq("b").mean() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("family", ["diffusion", "flow"])
def test_refinement_restores_the_tie_between_columns(augmenters: Augmenters, family: str) -> None:
    sample = augmenters[family].sample(1_000, seed=7).to_pandas()
    tied = sample[sample["y"] != 0]
    assert np.median(np.abs(tied["y"] - tied["x"] - 1)) < 0.15


@pytest.mark.parametrize("family", ["vae", "latent_diffusion", "latent_flow", "diffusion", "flow"])
def test_a_condition_holds_in_every_row(augmenters: Augmenters, family: str) -> None:
    sample = augmenters[family].sample(300, {"kind": "b"}, seed=8)
    assert set(sample["kind"].to_pylist()) == {"b"}
    assert np.mean(sample["x"]) == pytest.approx(6, abs=0.8)


def test_an_unknown_condition_is_refused_by_name(augmenters: Augmenters) -> None:
    with pytest.raises(CatalogError, match=r"no categorical column 'kin'; found kind"):
        augmenters["flow"].sample(1, {"kin": "a"})
    with pytest.raises(CatalogError, match=r"column 'kind' has no value 'c' in training; try a, b"):
        augmenters["flow"].sample(1, {"kind": "c"})
    with pytest.raises(SamplingError, match="vae_prior: takes no condition"):
        augmenters["vae_prior"].sample(1, {"kind": "a"})


def test_an_empty_sample_is_an_empty_table(augmenters: Augmenters) -> None:
    assert len(augmenters["flow"].sample(0)) == 0


@pytest.mark.parametrize("family", ["vae", "flow"])
def test_log_prob_prefers_real_rows_to_shuffled_ones(augmenters: Augmenters, family: str) -> None:
    real = make_table(120, 9).drop_columns(["id"])
    rng = np.random.default_rng(0)
    shuffled = pa.table({n: real[n].take(pa.array(rng.permutation(120))) for n in real.schema.names})
    augmenter = augmenters[family]
    real_nats, shuffled_nats = augmenter.log_prob(real), augmenter.log_prob(shuffled)
    assert np.isfinite(real_nats).all()
    assert real_nats.mean() > shuffled_nats.mean() + 1


def test_a_family_without_a_likelihood_says_so(augmenters: Augmenters) -> None:
    for family, augmenter in augmenters.items():
        if not augmenter.capabilities.log_prob:
            with pytest.raises(SamplingError, match=f"{family}: has no likelihood"):
                augmenter.log_prob(make_table(3, 0))


def test_a_broken_or_foreign_file_is_refused(augmenters: Augmenters, tmp_path: Path) -> None:
    augmenters["flow"].save(tmp_path)
    description = json.loads((tmp_path / DESCRIPTION).read_text())
    (tmp_path / DESCRIPTION).write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(BundleError, match="found format 99"):
        load_augmenter(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps({**description, "codec": "0" * 16}))
    with pytest.raises(BundleError, match="fingerprint"):
        load_augmenter(tmp_path)
    (tmp_path / DESCRIPTION).write_text(json.dumps(description))
    whole = (tmp_path / ARRAYS).read_bytes()
    (tmp_path / ARRAYS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="broken"):
        load_augmenter(tmp_path)


def test_too_few_rows_are_refused(items: Items) -> None:
    with pytest.raises(CatalogError, match="found 5 training rows"):
        fit_augmenter("flow", items.rows[:5], items.codec, QUICK, seed=0)
