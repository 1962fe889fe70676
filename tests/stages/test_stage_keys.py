"""Keys change with what a stage's output depends on, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from streamrec.config import RunConfig, parse_config
from streamrec.stages import items, users
from streamrec.stages.stage import KeptStage, digest
from streamrec.user_config import UserRetrievalConfig

ITEM_STAGES = {stage.name: stage for stage in vars(items).values() if isinstance(stage, KeptStage)}
USER_STAGES = {stage.name: stage for stage in vars(users).values() if isinstance(stage, KeptStage)}
TABLE = {
    "ingest": {"path": "items.csv"},
    "features": {"item_id": "id", "categorical": ["kind"]},
    "augmenters": {},
}
EVENTS = {
    "interactions": {"path": "events.csv", "timestamp": "time"},
    "users": {"path": "users.csv", "features": {"item_id": "user", "categorical": ["country"]}},
}


def item_keys(*overrides: str, **inputs: str) -> dict[str, str]:
    return keys_of(ITEM_STAGES, parse_config(deepcopy(TABLE), [*overrides]), inputs)


def user_keys(*overrides: str, **inputs: str) -> dict[str, str]:
    config = parse_config(deepcopy(EVENTS), [*overrides], "", UserRetrievalConfig)
    return keys_of(USER_STAGES, config, inputs)


def keys_of(stages: dict[str, KeptStage], config: BaseModel, inputs: dict[str, str]) -> dict[str, str]:
    """Keys of stages whose inputs are those given, or else always the same."""
    return {
        name: stage.key(config, {read: inputs.get(read.replace("-", "_"), "same") for read in stage.inputs})
        for name, stage in stages.items()
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("seed=7", {"profile", "validate", "train", "align", "evaluate", "augment"}),
        ("ingest.path=elsewhere/items.csv", set()),
        ("ingest.format=tsv", {"catalog"}),
        ("ingest.max_quarantined_share=0.2", {"catalog"}),
        ("features.display=[name]", {"catalog"}),
        ("validation.min_rows=5", {"validate"}),
        ("codec.max_labels=9", {"train"}),
        ("model.latent_dim=9", {"train"}),
        ("train.epochs=7", {"train"}),
        ("train.checkpoint_every=3", set()),
        ("train.validation_share=0.2", {"train", "evaluate", "augment"}),
        ("train.max_rows=99", {"train", "evaluate", "augment"}),
        ("evaluate.k=5", {"evaluate"}),
        ("augmenters.rows=999", {"augment"}),
        ("publish.min_recall=0.9", set()),
        ("track.experiment=other", set()),
        ("stages.keep=9", set()),
        ("out=other", set()),
    ],
)
def test_a_setting_of_items_changes_the_stages_that_read_it(override: str, stages: set[str]) -> None:
    assert changed(item_keys(), item_keys(override)) == stages


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("seed=7", {"train-towers", "judge-towers", "index-towers"}),
        ("interactions.path=elsewhere/events.csv", set()),
        ("interactions.user=who", {"events"}),
        ("users.path=elsewhere/users.csv", set()),
        ("users.batch_rows=9", {"users"}),
        ("checks.min_rows=5", {"validate-events"}),
        ("split.test=0.3", {"train-towers", "judge-towers"}),
        ("towers.train.epochs=3", {"train-towers"}),
        ("towers.train.checkpoint_every=3", set()),
        ("baselines=[popular]", {"judge-towers"}),
        ("evaluate.draws=500", {"judge-towers"}),
        ("publish.min_recall=0.9", {"index-towers"}),
        ("publish.keep=9", set()),
    ],
)
def test_a_setting_of_users_changes_the_stages_that_read_it(override: str, stages: set[str]) -> None:
    assert changed(user_keys(), user_keys(override)) == stages


@pytest.mark.parametrize("name", sorted({"catalog", "train", "source", "schema", "augment", "bundle"}))
def test_an_input_changes_the_stages_that_read_it(name: str) -> None:
    readers = {stage.name for stage in ITEM_STAGES.values() if name in stage.inputs}
    assert readers
    assert changed(item_keys(), item_keys(**{name: "other"})) == readers


def test_every_input_is_a_stage_or_given_by_the_flow(root: Path) -> None:
    for stages, flow in ((ITEM_STAGES, "item_embeddings"), (USER_STAGES, "user_retrieval")):
        source = (root / "flows" / f"{flow}.py").read_text()
        for stage in stages.values():
            for name in stage.inputs:
                assert name in stages or f'give("{name}"' in source, f"{stage.name} reads {name}"


def test_every_setting_is_one_that_exists() -> None:
    for stages, model in ((ITEM_STAGES, RunConfig), (USER_STAGES, UserRetrievalConfig)):
        for stage in stages.values():
            for name in (*stage.settings, *stage.apart_from):
                assert name.partition(".")[0] in model.model_fields, f"{stage.name} reads {name}"


def test_what_items_came_to_is_read_without_torch() -> None:
    stages = [stage.output for stage in ITEM_STAGES.values()]
    code = f"""
import sys
from streamrec.stages.stage import KeptStage
for output in {stages!r}:
    KeptStage("any", output).output_type
assert not {{"torch", "sklearn", "great_expectations", "matplotlib"}} & sys.modules.keys(), "heavy"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"name": "other"}, {"device": "auto"}, {"packages": ("numpy",)}]
)
def test_versions_and_the_device_count(change: dict[str, Any]) -> None:
    stage = KeptStage("made", output="builtins:str")
    config = parse_config(deepcopy(TABLE))
    assert stage.key(config, {}) != replace(stage, **change).key(config, {})


def test_a_new_version_of_the_package_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = item_keys()
    monkeypatch.setattr("streamrec.__version__", "999")
    assert changed(before, item_keys()) == set(before)


def test_the_device_named_is_the_device_taken() -> None:
    named, other = item_keys("train.device=cuda"), item_keys("train.device=mps")
    assert changed(named, other) == {"train"}


def test_the_order_of_names_does_not_matter() -> None:
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
