"""Models on disk: the same model back, and broken files refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamrec.errors import BundleError
from streamrec.layout import FeatureLayout
from streamrec.models.item_vae import ItemVAE
from streamrec.models.settings import ItemVAEConfig
from streamrec.models.store import load_model, save_model

LAYOUT = FeatureLayout(
    categorical=(("Größe", 5), ("brand", 4)),
    multi_label=(("tags", 3),),
    numeric=(("x", 2), ("y", 4)),
    nullable=("brand", "y"),
)
CONFIG = ItemVAEConfig(latent_dim=3, hidden=(8, 6), scale="column", beta=0.3, condition="brand")


def made(config: ItemVAEConfig = CONFIG, layout: FeatureLayout = LAYOUT, seed: int = 0) -> ItemVAE:
    torch.manual_seed(seed)
    return ItemVAE(layout, config)


@pytest.mark.parametrize("layout", [LAYOUT, FeatureLayout(numeric=(("x", 2),))])
def test_a_model_comes_back_bit_for_bit(tmp_path: Path, layout: FeatureLayout) -> None:
    model = made(CONFIG if layout is LAYOUT else replace(CONFIG, condition=None), layout)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(-3, 3)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert (loaded.layout, loaded.config) == (model.layout, model.config)
    expected, found = model.state_dict(), loaded.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_equal_models_give_equal_bytes_and_others_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        save_model(made(seed=seed), tmp_path / name)
    for file in ("weights.safetensors", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "other"))
    assert one != other


def rewritten(**changes: object) -> Callable[[Path], object]:
    def rewrite(folder: Path) -> None:
        file = folder / "model.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return rewrite


def with_weights_of(config: ItemVAEConfig) -> Callable[[Path], object]:
    def swap(folder: Path) -> None:
        save_model(made(config), folder / "other")
        (folder / "other" / "weights.safetensors").replace(folder / "weights.safetensors")

    return swap


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.json").unlink(), r"model\.json"),
        (lambda f: (f / "weights.safetensors").unlink(), r"weights\.safetensors"),
        (lambda f: (f / "model.json").write_text("{"), r"model\.json"),
        (lambda f: (f / "model.json").write_text("null"), r"model\.json"),
        (lambda f: (f / "model.json").write_bytes(b"\xff\xfe"), r"model\.json"),
        (rewritten(format=2), r"model\.json: found format 2 .* expected 1"),
        (rewritten(family="ddpm"), r"model\.json: found .*'ddpm'.* expected .*'item_vae'"),
        (rewritten(config={"hidden": [8], "wings": 2}), r"model\.json.*wings"),
        (rewritten(config={"hidden": [8], "latent_dim": "x"}), r"model\.json"),
        (rewritten(layout={}), r"model\.json"),
        (rewritten(config={"hidden": [8, 6], "condition": "size"}), r"model\.json.*size"),
        (with_weights_of(replace(CONFIG, latent_dim=4)), r"weights\.safetensors.*size mismatch"),
        (with_weights_of(replace(CONFIG, scale="fixed")), r"weights\.safetensors.*log_scale"),
        (lambda f: (f / "weights.safetensors").write_bytes(b""), r"weights\.safetensors"),
        (
            lambda f: (f / "weights.safetensors").write_bytes((f / "weights.safetensors").read_bytes()[:-9]),
            r"weights\.safetensors",
        ),
    ],
)
def test_a_broken_folder_is_refused_in_one_line(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    save_model(made(), tmp_path)
    damage(tmp_path)
    with pytest.raises(BundleError, match=message) as caught:
        load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
