"""The command as a user meets it: in its own process, by its exit code and by what it prints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from streamrec.config import TrackConfig, load_config
from streamrec.retrieval.bundle import Bundle
from streamrec.tracking import prepare_store

Command = Callable[..., subprocess.CompletedProcess[str]]
STAGES = [
    "start",
    "track",
    "generate",
    "validate",
    "train",
    "align",
    "evaluate",
    "register",
    "judge",
    "publish",
    "promote",
    "augment",
    "enrol",
    "samples",
    "announce",
    "report",
]
FinishedRun = tuple[Path, subprocess.CompletedProcess[str]]


def test_run_publishes_and_says_what_how_good_where_and_what_next(finished_run: FinishedRun) -> None:
    folder, done = finished_run
    bundle = Bundle.open(folder / "data" / "published")
    assert bundle.manifest.rows == 300
    screen = done.stdout
    assert screen.startswith("Published 300 items as embeddings of 16 numbers.")
    assert "PCA" in screen
    assert str(bundle.path) in screen
    assert "orchestration" in screen
    assert f"streamrec search --item {bundle.searcher.items.table['item_id'][0]}\n" in screen
    assert (folder / "mlflow" / "mlflow.db").exists()
    assert (folder / "data" / ".prefect" / "prefect.db").exists()


def test_run_away_from_a_terminal_prints_plain_lines_per_stage(finished_run: FinishedRun) -> None:
    lines = finished_run[1].stderr.splitlines()
    stages = dict.fromkeys(line.split()[0] for line in lines)  # a slow stage has lines of progress
    assert list(stages) == STAGES
    assert "\x1b" not in finished_run[1].stderr


def test_summary_of_the_run_is_kept_beside_it(finished_run: FinishedRun) -> None:
    folder, _ = finished_run
    (run,) = (folder / "data" / "runs").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["bundle"] == str(Bundle.open(folder / "data" / "published").path)
    assert sum(summary["seconds"].values()) <= summary["total_seconds"]


def test_search_prints_id_score_and_features_best_first(command: Command, finished_run: FinishedRun) -> None:
    folder, _ = finished_run
    bundle = Bundle.open(folder / "data" / "published")
    item = bundle.searcher.items.table["item_id"][7].as_py()
    done = command("search", "--item", item, "-k", "5", folder=folder)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split()[:2] == ["item_id", "score"]
    assert [row.split()[0] for row in rows] == bundle.neighbours(item, 5).ids
    scores = [float(row.split()[1]) for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_search_with_conditions_finds_only_items_that_meet_them(
    command: Command, finished_run: FinishedRun
) -> None:
    folder, _ = finished_run
    items = Bundle.open(folder / "data" / "published").searcher.items
    column = items.schema.categorical[0]
    values = [value for value in items.table[column].unique().to_pylist() if value is not None][:2]
    conditions = [word for value in values for word in ("--where", f"{column}={value}")]
    item = items.table["item_id"][0].as_py()
    done = command("search", "--item", item, "-k", "300", *conditions, folder=folder)
    found = {row.split()[0] for row in done.stdout.splitlines()[1:]}
    wanted = {r["item_id"] for r in items.table.to_pylist() if r[column] in values}
    assert found == wanted - {item}


def test_info_describes_the_current_bundle(command: Command, finished_run: FinishedRun) -> None:
    folder, _ = finished_run
    done = command("info", folder=folder)
    manifest = Bundle.open(folder / "data" / "published").manifest
    assert done.returncode == 0
    for fact in (manifest.version, manifest.codec_fingerprint, "version 1", "embeddings.parquet", "300"):
        assert fact in done.stdout


def test_doctor_finds_a_working_installation(command: Command, finished_run: FinishedRun) -> None:
    done = command("doctor", folder=finished_run[0])
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok") for line in lines)
    for subject in ("torch", "device", "mlflow", "bundle", "prefect"):
        assert any(line.split()[1].rstrip(":") == subject for line in lines), subject


def test_doctor_names_what_is_broken_and_fails(command: Command, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    done = command(
        "doctor",
        "--set",
        "track.uri=http://127.0.0.1:9",
        folder=tmp_path,
        PREFECT_API_URL="http://127.0.0.1:9/api",
    )
    assert done.returncode == 1
    broken = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert broken == ["out:", "mlflow:", "prefect:"]


def test_generate_then_init_then_validate(command: Command, tmp_path: Path) -> None:
    made = command(
        "generate",
        "-o",
        "items.parquet",
        "--preset",
        "structured",
        "--items",
        "400",
        "--truth",
        "truth.parquet",
        folder=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    assert pq.read_metadata(tmp_path / "items.parquet").num_rows == 400
    assert pq.read_metadata(tmp_path / "truth.parquet").num_rows == 400
    drafted = command("init", "items.parquet", "-o", "run.yaml", folder=tmp_path)
    assert drafted.returncode == 0, drafted.stderr
    config = load_config(tmp_path / "run.yaml")
    assert config.features is not None
    assert config.features.item_id == "item_id"
    checked = command("validate", "-c", "run.yaml", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "400 rows read, 0 refused" in checked.stdout
    failing = command("validate", "-c", "run.yaml", "--set", "validation.min_rows=401", folder=tmp_path)
    assert failing.returncode == 1
    assert "row_count" in failing.stderr


@pytest.mark.slow
def test_compare_prints_and_keeps_the_comparison_and_publishes_nothing(
    command: Command, tmp_path: Path
) -> None:
    small = ["generate.preset=structured", "generate.items=300", "train.epochs=2", "augmenters.rows=100"]
    small += ["augmenters.families=[vae, flow]", "augmenters.fit.steps=20"]
    small += ["augmenters.refine={cells: false, ratio_rounds: 0}"]
    done = command("compare", *(word for setting in small for word in ("--set", setting)), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["real", "holdout", "independent", "marginals", "vae", "flow"]
    assert any(row.startswith("Detection AUC") for row in rows)
    stages = dict.fromkeys(line.split()[0] for line in done.stderr.splitlines())
    assert list(stages) == ["track", "read", "train", "augment"]
    (run,) = (tmp_path / "data" / "runs").iterdir()
    assert pq.read_table(run / "augmenters" / "comparison.parquet").num_rows > 0
    assert f"page  {run / 'augmenters' / 'comparison.html'}" in done.stdout
    assert not (tmp_path / "data" / "published").exists()
    store = prepare_store(TrackConfig(), tmp_path)
    (recorded,) = store.client.search_runs([store.experiment_id])
    assert recorded.data.metrics["augmenters/flow/shape_error"] > 0


def test_init_overwrites_nothing(command: Command, tmp_path: Path) -> None:
    command("generate", "-o", "items.parquet", "--items", "50", folder=tmp_path)
    (tmp_path / "run.yaml").write_text("mine")
    done = command("init", "items.parquet", "-o", "run.yaml", folder=tmp_path)
    assert (done.returncode, (tmp_path / "run.yaml").read_text()) == (2, "mine")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            "run -c absent.yaml",
            2,
            "error: absent.yaml: cannot read the configuration: No such file or directory",
        ),
        (
            "compare --set augmenters.families=[gan]",
            2,
            "error: streamrec: augmenters.families.0: input should be 'vae_prior', 'vae',",
        ),
        ("run --set trian.epochs=1", 2, "error: streamrec: unknown setting 'trian'; did you mean 'train'?"),
        ("run -c table.yaml", 2, "error: ingest: nowhere.csv: no such file or folder"),
        ("run -c column.yaml", 2, "error: ingest: items.csv: no column 'price'"),
        (
            "generate -o out.parquet --items 0",
            2,
            "error: streamrec: generate.items: input should be greater than",
        ),
        ("generate -o out.parquet --preset odd", 2, "error: streamrec: generate.preset: input should be"),
        ("init nowhere.csv", 2, "error: nowhere.csv: no such file or folder"),
        ("search --item a", 1, "error: data/published: no such folder; publish a bundle first"),
        ("search --item a --where channel", 2, "error: --where channel: expected column=value"),
        ("info --out elsewhere", 1, "error: elsewhere/published: no such folder; publish a bundle first"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    command: Command, tmp_path: Path, arguments: str, code: int, message: str
) -> None:
    (tmp_path / "items.csv").write_text("id,weight\na,1\nb,2\n")
    (tmp_path / "table.yaml").write_text(
        "ingest: {path: nowhere.csv}\nfeatures: {item_id: id, numeric: [weight]}"
    )
    (tmp_path / "column.yaml").write_text(
        "ingest: {path: items.csv}\nfeatures: {item_id: id, numeric: [price]}"
    )
    done = command(*arguments.split(), folder=tmp_path)
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(message)


@pytest.mark.parametrize("arguments", ["", "--nonsense", "search", "search --item a -k many", "frobnicate"])
def test_wrong_usage_is_exit_code_2(command: Command, tmp_path: Path, arguments: str) -> None:
    done = command(*arguments.split(), folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
