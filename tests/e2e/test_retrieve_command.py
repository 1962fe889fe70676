"""From tables to recommendations by the commands that the README names, and on MovieLens."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ["--set", "towers.train.epochs=2", "--set", "towers.network={dimension: 8, hidden: 16}"]


def succeed(command: Command, *arguments: str, folder: Path) -> str:
    done = command(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tables_become_recommendations(
    command: Command, finished_run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "platform"
    shutil.copytree(finished_run[0], folder, symlinks=True)
    assert "recommends to no user" in succeed(command, "info", folder=folder)
    succeed(
        command,
        *("generate", "--preset", "structured", "--items", "300", "-o", "items.parquet"),
        *("--interactions", "events.parquet", "--users", "150", "--events", "4000"),
        *("--user-table", "users.parquet"),
        folder=folder,
    )
    (folder / "users.yaml").write_text(
        "interactions: {path: events.parquet, timestamp: timestamp}\n"
        "users: {path: users.parquet, features: {item_id: user_id, categorical: [country, age_group]}}\n"
        "baselines: [latent-profile]\n"
    )
    told = succeed(command, "retrieve", "-c", "users.yaml", *SMALL, folder=folder)
    assert "Published towers for 150 users and 300 items." in told
    assert "two-tower beats its baselines" in told
    info = succeed(command, "info", folder=folder)
    assert "streamrec-two-tower version 1" in info
    assert "150 users and 300 items" in info
    user = told.partition("recommend --user ")[2].split()[0]
    found = succeed(command, "recommend", "--user", user, "-k", "5", "--exclude-seen", folder=folder)
    assert len(found.splitlines()) == 6
    found = succeed(command, "recommend", "--history", "item_0000003,item_0000007", "-k", "5", folder=folder)
    assert len(found.splitlines()) == 6
    # The run that made the items is still the one that commands about items work on.
    succeed(command, "sample", "-n", "3", "-o", "made.parquet", folder=folder)


def test_what_is_mistyped_or_missing_is_told_at_once(command: Command, tmp_path: Path) -> None:
    (tmp_path / "users.yaml").write_text("interactions: {path: events.csv, timestamp: time}\n")
    done = command("retrieve", "-c", "users.yaml", folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "events.csv: no such file" in done.stderr
    (tmp_path / "events.csv").write_text("user_id,item_id,time\na,b,1\n")
    done = command("retrieve", "-c", "users.yaml", folder=tmp_path)
    assert (done.returncode, "publish a bundle first" in done.stderr) == (1, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_movielens_becomes_recommendations(command: Command, real_data: Path, tmp_path: Path) -> None:
    films = real_data / "ml-100k"
    (tmp_path / "items.yaml").write_text(
        f"ingest: {{path: {films}/ml-100k.item}}\n"
        "features: {item_id: item_id, multi_label: [{name: class, delimiter: ' '}],\n"
        "  numeric: [release_year], display: [movie_title]}\n"
    )
    succeed(command, "run", "-c", "items.yaml", "--set", "train.epochs=20", folder=tmp_path)
    (tmp_path / "users.yaml").write_text(
        f"interactions: {{path: {films}/ml-100k.inter, rating: rating, min_rating: 4,\n"
        "  timestamp: timestamp}\n"
        "baselines: [popular, recent-popular]\n"
    )
    told = succeed(command, "retrieve", "-c", "users.yaml", "--set", "towers.train.epochs=6", folder=tmp_path)
    assert "two-tower beats its baselines" in told
    found = succeed(command, "recommend", "--user", "196", "-k", "5", "--exclude-seen", folder=tmp_path)
    assert len(found.splitlines()) == 6
