"""The commands over a run's models as a user meets them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
FinishedRun = tuple[Path, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def catalog(finished_run: FinishedRun) -> Path:
    (run,) = (finished_run[0] / "data" / "runs").iterdir()
    return run / "catalog.parquet"


def test_sample_writes_rows_that_meet_the_condition(
    command: Command, finished_run: FinishedRun, catalog: Path, tmp_path: Path
) -> None:
    channel = pq.read_table(catalog)["channel"][0].as_py()
    output = tmp_path / "rows.parquet"
    asked = ("sample", "-n", "30", "--where", f"channel={channel}", "--model", "vae", "-o", str(output))
    done = command(*asked, folder=finished_run[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wrote 30 rows of vae")
    rows = pq.read_table(output)
    assert rows["channel"].to_pylist() == [channel] * 30
    assert rows.schema.field("views").type == pa.int64()
    again = command(*asked, folder=finished_run[0])
    assert again.returncode == 2
    assert again.stderr.startswith(f"error: {output}: is there already; name another file")


def test_impute_writes_every_draw_and_tells_how_sure_it_is(
    command: Command, finished_run: FinishedRun, catalog: Path, tmp_path: Path
) -> None:
    items = pq.read_table(catalog).slice(0, 40)
    pq.write_table(items.drop_columns(["title"]), tmp_path / "items.parquet")
    output = tmp_path / "whole.parquet"
    done = command(
        "impute", str(tmp_path / "items.parquet"), "-o", str(output), "--draws", "2", folder=finished_run[0]
    )
    assert done.returncode == 0, done.stderr
    assert "spread" in done.stdout
    found = pq.read_table(output)
    assert found["_draw"].to_pylist() == [1] * 40 + [2] * 40
    assert items["score_00"].null_count > 0
    assert found["score_00"].null_count == 0
    there = items["score_00"].is_valid().to_numpy()
    assert np.array_equal(found["score_00"].slice(40).to_numpy()[there], items["score_00"].to_numpy()[there])


def test_anomalies_shows_the_oddest_and_writes_all(
    command: Command, finished_run: FinishedRun, tmp_path: Path
) -> None:
    output = tmp_path / "odd.parquet"
    done = command("anomalies", "-k", "3", "-o", str(output), folder=finished_run[0])
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert "log density" in header
    found = pq.read_table(output)
    assert found.num_rows == 300
    assert [row.split()[0] for row in rows] == found["item_id"].to_pylist()[:3]
    assert found["odd_columns"][0].as_py()[0] in rows[0]


def test_interpolate_shows_a_column_per_step(
    command: Command, finished_run: FinishedRun, catalog: Path
) -> None:
    ids = pq.read_table(catalog)["item_id"].to_pylist()
    done = command("interpolate", ids[0], ids[5], "--steps", "3", folder=finished_run[0])
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[-3:] == ["0%", "50%", "100%"]
    assert {row.split()[0] for row in rows} >= {"channel", "tags", "views"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sample -o rows.parquet --model flw", "no augmenter 'flw'; did you mean 'flow'?"),
        (
            "sample -o rows.parquet --where chanel=law",
            "no categorical column 'chanel'; did you mean 'channel'?",
        ),
        ("sample -o rows.parquet --where channel=lawn", "'channel' has no 'lawn'; did you mean 'law'?"),
        ("sample -o rows.parquet --run none", "no run 'none'; found "),
        ("sample -o nowhere/else/rows.parquet/below -n 1 --run x", "no run 'x'"),
        ("impute absent.csv -o rows.parquet", "absent.csv: no such file or folder"),
        ("impute short.csv -o rows.parquet", "no column 'channel'"),
        ("interpolate item_0000001 item_x", "no item 'item_x'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    command: Command, finished_run: FinishedRun, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "short.csv").write_text("item_id,views\na,1\n")
    out = str(finished_run[0] / "data")
    done = command(*arguments.split(), "--out", out, folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "rows.parquet").exists()


def test_without_a_run_what_to_do_is_said(command: Command, tmp_path: Path) -> None:
    done = command("sample", "-o", "rows.parquet", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: data/runs: no run with augmenters; fit some")


@pytest.mark.slow
def test_augment_reports_the_lift_and_writes_what_to_train_on(command: Command, tmp_path: Path) -> None:
    small = ["generate.preset=structured", "generate.items=400", "train.epochs=1", "evaluate.queries=50"]
    small += ["augmenters.fit.steps=20", "augmenters.refine={cells: false, ratio_rounds: 0}"]
    done = command(
        *("augment", "--column", "format", "--target", "60", "--seeds", "2"),
        *(word for setting in small for word in ("--set", setting)),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "neighbour purity" in done.stdout
    (report,) = tmp_path.glob("data/runs/*/rare_lift.json")
    found = json.loads(report.read_text())
    assert f"{report}" in done.stdout
    assert all(n < 60 for n in found["train_rows"].values())
    assert [len(found[arm]["neighbour_purity"]) for arm in ("real", "repeated", "augmented")] == [2, 2, 2]
    table = pq.read_table(report.with_name("augmented.parquet"))
    synthetic = sum(60 - n for n in found["train_rows"].values()) if found["kept"] else 0
    assert sum(table["synthetic"].to_pylist()) == synthetic
    wrong = command(
        "augment", "--column", "formt", "--target", "60", "--set", "generate.items=400", folder=tmp_path
    )
    assert wrong.returncode == 2
    assert "no categorical column 'formt'" in wrong.stderr
