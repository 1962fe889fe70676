"""Families fitted, judged and written side by side on a small table, and what is told of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from streamrec.augmenters.compare import NLL_ROWS, Compared, evaluations, fit_and_compare, held_out_nll
from streamrec.augmenters.findings import lines, markdown, metrics, reason
from streamrec.augmenters.settings import AugmentersConfig
from streamrec.augmenters.store import load_augmenter
from streamrec.catalog.codec import FeatureCodec
from streamrec.catalog.split import ItemSplit
from streamrec.config import CodecConfig
from streamrec.errors import CatalogError
from streamrec.evaluation.synthetic.comparison import Trials
from streamrec.evaluation.synthetic.suite import HOLDOUT, INDEPENDENT
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.retrieval.encoder import ItemEncoder
from streamrec.schema import FeatureSchema

SETTINGS = AugmentersConfig.model_validate(
    {
        "families": ["vae", "diffusion", "flow"],
        "flow": {"width": 16, "blocks": 1, "evaluations": 6},
        "diffusion": {"width": 16, "blocks": 1, "evaluations": 5},
        "fit": {"steps": 12, "batch_size": 128},
        "refine": {"cells": False, "ratio_rounds": 0},
        "seeds": 2,
        "rows": 150,
    }
)


@pytest.fixture(scope="module")
def split() -> ItemSplit:
    rng = np.random.default_rng(5)
    kind = rng.integers(2, size=240)
    rows = pa.table(
        {
            "id": np.arange(240),
            "kind": pa.array(["film", "short"]).take(pa.array(kind)),
            "length": rng.normal(size=240) + 3 * kind,
            "plays": rng.integers(0, 40, 240) * (rng.random(240) < 0.7),
        }
    )
    return ItemSplit(rows[:200], rows[200:])


@pytest.fixture(scope="module")
def encoder(split: ItemSplit) -> ItemEncoder:
    schema = FeatureSchema(item_id="id", categorical=("kind",), numeric=("length", "plays"))
    codec = FeatureCodec.fit(split.train, schema, CodecConfig())
    torch.manual_seed(0)
    return ItemEncoder(codec, ItemVAE(codec.layout, ItemVAEConfig(latent_dim=4, hidden=(16,))))


@pytest.fixture(scope="module")
def compared(split: ItemSplit, encoder: ItemEncoder, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("augmenters")
    return fit_and_compare(split, encoder, SETTINGS, 3, folder, encoder_seconds=100.0)


def test_every_family_has_a_trial_per_seed_beside_the_floors(compared: Compared) -> None:
    found = compared.comparison
    assert [(trial.family, trial.seed) for trial in found.trials] == [
        (family, seed) for family in SETTINGS.families for seed in (3, 4)
    ]
    assert {name: len(qualities) for name, qualities in found.floors.items()} == {HOLDOUT: 2, INDEPENDENT: 2}
    assert {trial.quality.rows for trial in found.trials} == {150}
    tables = [trial.quality.figures for trial in found.trials]
    assert tables[4]["shape_error"] != tables[5]["shape_error"], "each seed draws a table of its own"


def test_costs_count_what_a_family_takes(compared: Compared) -> None:
    steps = {trial.family: trial.steps for trial in compared.comparison.trials}
    assert steps == {"vae": None, "diffusion": 5, "flow": 6}
    seconds = {trial.family: trial.training_seconds for trial in compared.comparison.trials}
    assert seconds["vae"] > 100 > max(seconds["flow"], seconds["diffusion"])


def test_families_are_kept_as_they_were_judged(compared: Compared, split: ItemSplit) -> None:
    flow = load_augmenter(compared.folder / "flow")
    nll = {family: found.get("nll") for family, found in compared.comparison.figures.items()}
    assert nll["diffusion"] is None
    assert nll["vae"] is not None
    assert nll["flow"] is not None
    assert held_out_nll(flow, split.held_out, seed=3) == pytest.approx(nll["flow"].mean)
    assert len(split.held_out) <= NLL_ROWS
    assert nll["flow"].mean == pytest.approx(-flow.log_prob(split.held_out, seed=3).mean())
    assert evaluations(flow) == 6


def test_rows_that_no_family_can_make_do_not_count_for_the_likelihood(
    compared: Compared, split: ItemSplit
) -> None:
    flow = load_augmenter(compared.folder / "flow")
    strange = split.held_out.set_column(1, "kind", pa.array(["opera"] * len(split.held_out)))
    both = pa.concat_tables([split.held_out, strange])
    assert held_out_nll(flow, both, seed=3) == pytest.approx(held_out_nll(flow, split.held_out, seed=3))
    assert held_out_nll(flow, strange, seed=3) is None


def test_comparison_is_on_disk_with_the_families_numbers(compared: Compared) -> None:
    table = pq.read_table(compared.folder / "comparison.parquet").to_pylist()
    found = {
        row["family"]: row["mean"]
        for row in table
        if (row["part"], row["measure"]) == ("figures", "shape_error")
    }
    assert found == {f: v["shape_error"].mean for f, v in compared.comparison.figures.items()}
    assert (compared.folder / "comparison.html").stat().st_size > 10_000
    assert compared.best == compared.folder / compared.comparison.best


@pytest.mark.slow
def test_families_that_were_judged_before_are_not_fitted_again(
    split: ItemSplit,
    encoder: ItemEncoder,
    compared: Compared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for family in SETTINGS.families:
        shutil.copytree(compared.folder / family, tmp_path / family)
    monkeypatch.setattr("streamrec.augmenters.compare.fit_augmenter", None)
    stored = TypeAdapter(Trials)

    def kept(family: str, make: object) -> Trials:
        found = [trial for trial in compared.comparison.trials if trial.family == family]
        return stored.validate_json(stored.dump_json(found))

    again = fit_and_compare(split, encoder, SETTINGS, 3, tmp_path, kept=kept)
    assert again.comparison.table().equals(compared.comparison.table())
    for file in ("comparison.html", "comparison.parquet"):
        assert (tmp_path / file).read_bytes() == (compared.folder / file).read_bytes(), file


def test_same_seed_same_figures(
    split: ItemSplit, encoder: ItemEncoder, compared: Compared, tmp_path: Path
) -> None:
    alone = SETTINGS.model_copy(update={"families": ("flow",)})
    told: list[tuple[int, int | None]] = []
    again = fit_and_compare(split, encoder, alone, 3, tmp_path, progress=lambda *units: told.append(units))
    for mine, theirs in zip(again.comparison.trials, compared.comparison.trials[4:], strict=True):
        assert mine.quality == theirs.quality
    assert (tmp_path / "flow/arrays.safetensors").read_bytes() == (
        compared.folder / "flow/arrays.safetensors"
    ).read_bytes()
    done = [units for units, total in told]
    assert done == sorted(done)
    assert told[0] == (0, 200)
    assert told[-1] == (200, 200)


def test_lines_have_a_cell_per_floor_and_family(compared: Compared) -> None:
    header, *rows = lines(compared.comparison, compared.labels)
    assert header == ("", HOLDOUT, INDEPENDENT, *SETTINGS.families)
    assert {len(row) for row in rows} == {6}
    by_label = {row[0]: row[1:] for row in rows}
    assert by_label["Mean rank"][:2] == ("", "")
    ranks = [float(cell) for cell in by_label["Mean rank"][2:]]
    assert sum(ranks) == pytest.approx(6, abs=0.02), "ranks of three families"
    assert by_label["Network evaluations per row"][2:] == ("–", "5", "6")
    assert any(label.startswith("AUC of ") and "{" not in label for label in by_label)


def test_reason_names_the_chosen_family_and_every_rank(compared: Compared) -> None:
    told = reason(compared.comparison)
    assert told.startswith(compared.comparison.best)
    assert all(f"{family} " in told for family in SETTINGS.families)
    assert markdown(compared.comparison, compared.labels).startswith(told)


def test_metrics_have_legal_distinct_names(compared: Compared) -> None:
    found = metrics(compared.comparison)
    assert found["augmenters/flow/steps"] == 6
    assert "augmenters/real_holdout/shape_error" in found
    assert all(np.isfinite(value) for value in found.values())


def test_too_few_held_out_rows_are_an_error(split: ItemSplit, encoder: ItemEncoder, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="held-out rows to judge by: found 3 rows"):
        fit_and_compare(ItemSplit(split.train, split.held_out[:3]), encoder, SETTINGS, 0, tmp_path)


@pytest.mark.parametrize("families", [[], ["flow", "flow"], ["gan"]])
def test_families_are_known_and_named_once(families: list[str]) -> None:
    with pytest.raises(ValidationError):
        AugmentersConfig.model_validate({"families": families})
