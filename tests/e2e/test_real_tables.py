"""Real item tables, from a first look at the file to a search, by the command line alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from streamrec.retrieval.bundle import Bundle


@pytest.mark.parametrize(
    ("table", "items", "refused"),
    [
        pytest.param("ml-100k/ml-100k.item", 1_680, 2),
        pytest.param("news/news.parquet", 9_874, 0, marks=pytest.mark.slow),
    ],
)
def test_init_run_search(
    command: Callable[..., subprocess.CompletedProcess[str]],
    real_data: Path,
    tmp_path: Path,
    table: str,
    items: int,
    refused: int,
) -> None:
    for arguments in (
        ["init", str(real_data / table), "-o", "run.yaml"],
        ["run", "-c", "run.yaml", "--set", "train.epochs=3"],
    ):
        done = command(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (f"{refused} rows, kept in" in done.stdout) == (refused > 0)
    bundle = Bundle.open(tmp_path / "data" / "published")
    assert bundle.manifest.rows == items
    item = str(bundle.searcher.items.table["item_id"][items // 2])
    found = command("search", "--item", item, "-k", "3", folder=tmp_path)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.splitlines()) == 4
