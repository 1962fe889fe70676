"""`streamrec refresh` as a user runs it, after `streamrec run`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from streamrec.retrieval.bundle import Bundle

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(finished_run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> Path:
    """A copy of a finished run; its items lie in items.parquet and refresh.yaml names them."""
    copy = shutil.copytree(finished_run[0], tmp_path / "copy", symlinks=True)
    (catalog,) = (copy / "data" / "runs").glob("*/catalog.parquet")
    shutil.copyfile(catalog, copy / "items.parquet")
    (copy / "refresh.yaml").write_text(yaml.safe_dump({"ingest": {"path": "items.parquet"}}))
    return copy


def test_items_are_refreshed_once_and_then_nothing_has_changed(folder: Path, command: Command) -> None:
    before = Bundle.open(folder / "data" / "published").manifest
    items = pq.read_table(folder / "items.parquet")
    numbers = items[before.features.numeric[0]].to_numpy().copy()
    numbers[5] += 1
    place = items.column_names.index(before.features.numeric[0])
    changed = items.set_column(place, items.column_names[place], pa.array(numbers))
    pq.write_table(changed[:-2], folder / "items.parquet")
    done = command("refresh", "-c", "refresh.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "Published 298 items: 0 new, 1 changed, 297 kept as they were; 2 removed." in done.stdout
    after = Bundle.open(folder / "data" / "published").manifest
    assert (after.rows, after.space) == (298, before.version)
    told = command("info", folder=folder).stdout
    assert f"{before.version}: 1 encoded, 297 kept, 2 removed" in told
    assert "comparable with the current one" in told
    done = command("refresh", "-c", "refresh.yaml", folder=folder)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        f"Nothing changed: bundle {after.version} stays current.",
    )


def test_a_table_without_a_column_of_the_bundle_is_refused_at_once(folder: Path, command: Command) -> None:
    items = pq.read_table(folder / "items.parquet")
    pq.write_table(items.drop_columns(items.column_names[-1]), folder / "items.parquet")
    done = command("refresh", "-c", "refresh.yaml", folder=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ingest: ")
    assert items.column_names[-1] in done.stderr
