from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamrec.config import RefreshConfig, dump_config, load_config, parse_config, setting_names
from streamrec.errors import ConfigError

SMALLEST = "generate: {items: 300}\n"
FEATURES = {"item_id": "id", "numeric": ["x"]}


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_a_file_sets_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, "generate: {items: 300}\ntrain: {epochs: 3}\nmodel: {hidden: [64, 32]}\n")
    )
    assert config == parse_config(
        {"generate": {"items": 300}, "train": {"epochs": 3}, "model": {"hidden": [64, 32]}}
    )
    assert config.generate is not None
    assert (config.generate.items, config.generate.seed, config.train.epochs) == (300, 42, 3)
    assert config.model.hidden == (64, 32)


def test_overrides_win_over_the_file_and_create_groups(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, "generate: {items: 300}\npublish:\n"),
        ["generate.items=500", "publish.keep=7", "track.uri=sqlite:////tmp/a.db", "model.hidden=[8, 4]"],
    )
    assert config.generate is not None
    assert config.generate.items == 500
    assert config.publish.keep == 7
    assert config.track.uri == "sqlite:////tmp/a.db"
    assert config.model.hidden == (8, 4)


@given(
    items=st.integers(1, 10**9),
    scaling=st.sampled_from(["auto", "quantile", "standard"]),
    hidden=st.lists(st.integers(1, 4096), min_size=1, max_size=4),
    recall=st.floats(0, 1, exclude_min=True),
    uri=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
)
def test_dumped_configuration_loads_to_an_equal_one(
    tmp_path_factory: pytest.TempPathFactory,
    items: int,
    scaling: str,
    hidden: list[int],
    recall: float,
    uri: str | None,
) -> None:
    config = parse_config(
        {
            "generate": {"items": items},
            "codec": {"scaling": scaling, "columns": {"a b": "quantile"}},
            "model": {"hidden": hidden},
            "publish": {"min_recall": recall},
            "track": {"uri": uri},
        }
    )
    path = tmp_path_factory.getbasetemp() / "dumped.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("data", "overrides", "expected"),
    [
        (
            {"generate": {"itens": 3}},
            [],
            "config: unknown setting 'generate.itens'; did you mean 'generate.items'?",
        ),
        (
            {"generate": {}, "trian": {"epochs": 1}},
            [],
            "config: unknown setting 'trian'; did you mean 'train'?",
        ),
        ({"generate": {}}, ["train.epoch=3"], "unknown setting 'train.epoch'; did you mean 'train.epochs'?"),
        ({"generate": {"items": "many"}}, [], "generate.items: input should be a valid integer"),
        (
            {"generate": {"items": 0}},
            [],
            "generate.items: input should be greater than or equal to 1, found 0",
        ),
        ({"generate": {}, "train": {"epochs": 0}}, [], "train: epochs must be at least 1, found 0"),
        ({"generate": {}, "model": {"hidden": []}}, [], "hidden must be one or more positive widths"),
        ({}, [], "give exactly one of 'generate' and 'ingest'"),
        ({"generate": {}, "ingest": {"path": "a"}, "features": FEATURES}, [], "give exactly one of"),
        ({"ingest": {"path": "a"}}, [], "'ingest' needs 'features' (make a first draft with `streamrec init"),
        ({"generate": {}, "features": FEATURES}, [], "'generate' knows its own features; remove 'features'"),
        ({"ingest": {"path": "a"}, "features": {"item_id": "id"}}, [], "features: no feature column"),
        ({"generate": {}}, ["train.epochs"], "--set train.epochs: expected a.b=value"),
        ({"generate": {}}, ["=3"], "--set =3: expected a.b=value"),
        (
            {"generate": {}, "seed": 3},
            ["seed.value=3"],
            "--set seed.value=3: 'seed' is not a group of settings",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    data: dict[str, object], overrides: list[str], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, overrides)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_in_a_file_name_the_file(tmp_path: Path) -> None:
    absent = tmp_path / "absent.yaml"
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot read the configuration: No such file"):
        load_config(absent)
    for text, expected in [
        ("generate: [", "run.yaml: not valid YAML"),
        ("- generate", "run.yaml: expected settings by name, found list"),
        ("", "run.yaml: expected settings by name, found NoneType"),
        ("generate: {}\nsede: 3", "run.yaml: unknown setting 'sede'; did you mean 'seed'?"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(write(tmp_path, text))
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)


def test_setting_names_cover_every_stage() -> None:
    names = setting_names()
    assert {"seed", "generate.items", "features.item_id", "train.epochs", "model.latent_dim"} <= set(names)
    assert len(names) == len(set(names))


def test_a_configuration_cannot_be_changed_in_place() -> None:
    config = parse_config({"generate": {}})
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


def test_the_file_of_a_whole_run_will_do_for_a_refresh_but_unknown_settings_will_not() -> None:
    whole = {
        "ingest": {"path": "items.parquet"},
        "features": {"item_id": "id", "numeric": ["price"]},
        "model": {"latent_dim": 3},
        "augmenters": {},
        "publish": {"keep": 5},
    }
    config = parse_config(whole, ["publish.min_recall=0.9"], model=RefreshConfig)
    assert (config.ingest.path, config.publish.keep, config.publish.min_recall) == ("items.parquet", 5, 0.9)
    assert "model" not in config.model_dump()
    with pytest.raises(ConfigError, match=r"unknown setting 'publihs'; did you mean 'publish'\?"):
        parse_config(whole | {"publihs": {}}, model=RefreshConfig)
    with pytest.raises(ConfigError, match="ingest: field required"):
        parse_config({"generate": {}}, model=RefreshConfig)
