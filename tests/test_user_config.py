"""The settings of a run over users."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from streamrec.config import dump_config, load_config, parse_config, setting_names
from streamrec.errors import ConfigError
from streamrec.evaluation.ranking.quality import figure_names
from streamrec.recommenders.baselines import FAMILIES
from streamrec.user_config import BASELINES, Baseline, JudgeConfig, UserRetrievalConfig

EVENTS = {"path": "events.parquet", "timestamp": "time"}


def parse(data: dict[str, object], overrides: list[str] | None = None) -> UserRetrievalConfig:
    return parse_config({"interactions": EVENTS} | data, overrides, model=UserRetrievalConfig)


def test_a_file_and_overrides_are_read_as_those_of_any_run(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text("interactions: {path: events.parquet, timestamp: time}\nsplit: {test: 0.3}\n")
    config = load_config(path, ["towers.train.epochs=2", "seed=7"], UserRetrievalConfig)
    assert config == parse({"split": {"test": 0.3}, "towers": {"train": {"epochs": 2}}, "seed": 7})
    assert (config.split.kind, config.split.test, config.seed) == ("time", 0.3, 7)


def test_dumped_settings_load_to_equal_ones(tmp_path: Path) -> None:
    config = parse(
        {
            "users": {"path": "users.csv", "features": {"item_id": "user", "categorical": ["country"]}},
            "towers": {"half_lives_days": [3, None], "network": {"dimension": 8}},
            "baselines": ["popular"],
        }
    )
    path = tmp_path / "dumped.yaml"
    path.write_text(dump_config(config))
    assert load_config(path, model=UserRetrievalConfig) == config


@pytest.mark.parametrize(
    ("data", "overrides", "expected"),
    [
        ({}, ["towers.train.epoch=3"], "'towers.train.epoch'; did you mean 'towers.train.epochs'?"),
        ({}, ["splits.kind=user"], "unknown setting 'splits'; did you mean 'split'?"),
        ({"interactions": {"path": "a"}}, [], "'split.kind' time needs 'interactions.timestamp'"),
        ({"baselines": ["easy"]}, [], "baselines.0: input should be 'popular', 'recent-popular'"),
        ({"baselines": ["ease", "ease"]}, [], "baselines: 'ease' is there twice"),
        ({"baselines": []}, [], "baselines: tuple should have at least 1 item"),
        ({"evaluate": {"judged": ["ndcg@5"]}}, [], "evaluate.judged.0"),
        ({"interactions": {"path": "a", "item": "user_id"}}, [], "column 'user_id' has two roles"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    data: dict[str, object], overrides: list[str], expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(data, overrides)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_events_must_be_named() -> None:
    with pytest.raises(ConfigError, match="interactions: field required"):
        parse_config({}, model=UserRetrievalConfig)


def test_names_of_settings_are_those_of_this_kind_of_run() -> None:
    names = set(setting_names(UserRetrievalConfig))
    assert {"interactions.min_rating", "towers.network.dimension", "checks.max_future", "track.uri"} <= names
    assert "generate" not in names


def test_baselines_and_figures_are_those_there_are() -> None:
    assert set(get_args(Baseline)) == set(FAMILIES)
    assert all(set(names) <= set(FAMILIES) for names in BASELINES.values())
    for figure in figure_names():
        assert JudgeConfig(judged=(figure,)).judged == (figure,)
