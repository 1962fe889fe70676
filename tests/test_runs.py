"""Which run a command works on, and what it says where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from streamrec.catalog.codec import FeatureCodec
from streamrec.config import CodecConfig
from streamrec.errors import BundleError, ConfigError
from streamrec.retrieval.manifest import ModelSource
from streamrec.runs import Run, find_items, find_run
from streamrec.schema import FeatureSchema


def made(out: Path, name: str, families: tuple[str, ...] = (), version: int | None = None) -> None:
    """A run's folder as far as it is looked at to choose one."""
    folder = out / "runs" / name
    (folder / "model").mkdir(parents=True)
    for family in families:
        (folder / "augmenters" / family).mkdir(parents=True)
        (folder / "augmenters" / family / "augmenter.json").write_text("{}")
    if version is not None:
        (folder / "summary.json").write_text(json.dumps({"model": "encoder", "version": version}))


def publish(out: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current bundle, its manifest as far as it is looked at."""
    (out / "published" / "any").mkdir(parents=True)
    (out / "published" / "current").symlink_to("any")
    source = SimpleNamespace(model=ModelSource(name="encoder", version=str(version)))
    monkeypatch.setattr("streamrec.runs.Manifest", SimpleNamespace(read=lambda path: source))


def test_the_published_run_is_chosen_though_newer_ones_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "r1", ("flow",), 1)
    made(tmp_path, "r2", ("flow",), 2)
    made(tmp_path, "r3", ("flow",))
    publish(tmp_path, 2, monkeypatch)
    assert find_run(tmp_path).name == "r2"
    assert find_run(tmp_path, "r1").name == "r1"


def test_else_the_newest_with_augmenters_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "r1", ("flow", "vae"), 1)
    made(tmp_path, "r2", ("diffusion",))
    made(tmp_path, "r3", version=3)
    publish(tmp_path, 3, monkeypatch)
    assert find_run(tmp_path).name == "r2"
    assert find_run(tmp_path, augmenters=False).name == "r3"
    assert find_run(tmp_path, "r1").families == ["flow", "vae"]


def test_a_damaged_summary_and_a_folder_without_a_model_are_passed_over(tmp_path: Path) -> None:
    made(tmp_path, "r1", ("flow",))
    made(tmp_path, "r2", ("flow",))
    (tmp_path / "runs" / "r1" / "summary.json").write_text("{")
    (tmp_path / "runs" / "r9").mkdir()
    assert find_run(tmp_path).name == "r2"


def test_what_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no run with augmenters; fit some"):
        find_run(tmp_path)
    with pytest.raises(BundleError, match="no run; make one: streamrec run"):
        find_run(tmp_path, augmenters=False)
    made(tmp_path, "r1")
    with pytest.raises(ConfigError, match="no run 'r7'; found r1"):
        find_run(tmp_path, "r7")
    with pytest.raises(ConfigError, match="run r1: has no augmenters"):
        find_run(tmp_path, "r1")
    with pytest.raises(ConfigError, match="run r1: no augmenter 'flow'; found none"):
        Run(tmp_path / "runs" / "r1").augmenter("flow")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    table = pa.table({"id": [1, 2, 3], "colour": ["red", "green", "red"], "year": [1999, 2000, 1999]})
    schema = FeatureSchema(item_id="id", categorical=("colour", "year"))
    FeatureCodec.fit(table, schema, CodecConfig()).save(tmp_path / "codec")
    return Run(tmp_path)


def test_conditions_take_the_types_of_their_columns(run: Run) -> None:
    assert run.condition(["colour=red", "year=1999"]) == {"colour": "red", "year": 1999}
    assert run.condition([]) == {}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("colour", "--where colour: expected column=value"),
        ("color=red", "no categorical column 'color'; did you mean 'colour'"),
        ("colour=gren", "'colour' has no 'gren'; did you mean 'green'"),
        ("year=1066", "'year' has no '1066'; found 1999, 2000"),
    ],
)
def test_a_mistaken_condition_names_what_is_there(run: Run, where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run.condition([where])
    with pytest.raises(ConfigError, match="has a value already"):
        run.condition(["colour=red", "colour=green"])


def test_items_are_found_by_the_text_of_their_ids() -> None:
    table = pa.table({"id": [10, 11, 12]})
    assert find_items(table, "id", ["12", "10"], "items") == [2, 0]
    with pytest.raises(ConfigError, match="items: no item '100'; did you mean '10'"):
        find_items(table, "id", ["100"], "items")
