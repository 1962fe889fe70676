"""The report says what it was given, escapes it, and needs nothing but itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from html_pages import NASTY, Page
from small_encoders import catalog_of, encoder_of, item_table

from streamrec.catalog.checks import Check, ValidationResult
from streamrec.catalog.ingest import Ingested
from streamrec.config import parse_config
from streamrec.evaluation.evaluate import evaluate_item_encoder
from streamrec.evaluation.report import Durations, PromotionReport, Published, RunReport, render, write_report
from streamrec.training.history import History


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "version": "20260304T050607Z-ab12cd34",
        "created": "2026-03-04T05:06:07.123456Z",
        "rows": 12_345,
        "dimension": 4,
        "metric": "cosine",
        "index": {"kind": "ivf", "lists": 1_024, "nprobe": 37},
        "recall": {"k": 10, "value": 0.9937, "queries": 1_500, "tolerance": 1e-6},
        "model": {"name": "encoder", "version": "17", "run_id": "r"},
        "codec_fingerprint": "c0dec0dec0dec0de",
        "files": {
            "embeddings.parquet": {"bytes": 7_650_000, "sha256": "1f" * 32},
            "items.faiss": {"bytes": 1_350_000, "sha256": "2e" * 32},
        },
        **changes,
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    """A whole run on a table with hostile titles, categories, labels and column names."""
    folder = tmp_path_factory.mktemp("run")
    table = item_table(120)
    table = table.set_column(
        table.column_names.index("title"),
        "title",
        pa.array([NASTY if i % 2 else "$x$ & <b>" for i in range(120)]),
    )
    table = table.set_column(
        table.column_names.index("kind"), "kind", pa.array([NASTY if i % 3 else "film" for i in range(120)])
    )
    table = table.set_column(table.column_names.index("tags"), "tags", pa.array([[NASTY], ["a"]] * 60))
    catalog, encoder = catalog_of(table, folder), encoder_of(table)
    epochs = [
        {
            "epoch": epoch,
            "train_loss": 9.0 / epoch,
            "valid_loss": 8.5 + abs(epoch - 6) / 10,
            "valid_elbo": -12.345,
            "valid_rate": 4.321,
            "valid_distortion": 8.024,
            "beta": 0.05,
            "seconds": 1.5,
        }
        for epoch in range(1, 11)
    ]
    history = History(epochs, best_epoch=6, device="cpu")
    config = parse_config({"generate": {"items": 120}, "train": {"epochs": 40}})
    quality = evaluate_item_encoder(catalog, encoder, history, config, folder / "evaluation")
    ingested = Ingested(
        catalog,
        folder / "quarantine.parquet",
        127,
        7,
        {"duplicate_id": 4, f"not_a_number:{NASTY}": 3},
        [NASTY],
    )
    checks = (
        Check("missing", "price", "warning", True, "at most 90%", "20%"),
        Check("drift", NASTY, "warning", False, "below 0.5 nats", "0.73 nats"),
    )
    validation = ValidationResult(catalog.path, 120, 120, None, 1.0, checks, (), {})
    seconds = {"generate": 1.25, "validate": 6.5, "train": 80.0, "publish": 2.0}
    compute = {"generate": 1.25, "train": 80.0, "publish": 2.0}
    return RunReport(
        run="20260304T050607Z-ab12",
        config=config,
        ingested=ingested,
        validation=validation,
        history=history,
        quality=quality,
        evaluation=folder / "evaluation",
        published=Published(folder / "my data" / "published" / "v1", manifest(), "it's-1"),
        durations=Durations(seconds, compute, {"Prefect": 9.5, "validation": 6.5, "tracking": 3.0}, 102.25),
    )


@pytest.fixture(scope="module")
def page(report: RunReport) -> Page:
    return Page(render(report))


def test_the_page_needs_nothing_but_itself(report: RunReport, page: Page) -> None:
    assert page.references
    assert [r for r in page.references if not r.startswith(("#", "data:image/png;base64,"))] == []
    styles = re.findall(r"<style>.*?</style>|style=\"[^\"]*\"", render(report), re.S)
    assert [s for s in styles if re.search(r"@import|url\((?!#)", s)] == []
    assert not {"link", "iframe", "object", "embed", "script", "form"} & set(page.tags)
    assert "http" not in render(report).replace("http-equiv", "")


def test_every_reference_inside_the_page_has_its_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)


def test_cells_names_and_notes_are_escaped(page: Page) -> None:
    assert page.handlers == []
    assert "img" not in page.tags
    assert NASTY[:60] in page.text
    assert "$x$ & <b>" in page.text


def test_tables_can_be_read_aloud(report: RunReport, page: Page) -> None:
    text = render(report)
    assert len(re.findall(r"<th(?=[ >])", text)) == len(re.findall(r"<th[^>]* scope=", text))
    assert page.tags.count("svg") == len(re.findall(r'<svg role="img" aria-label="\w', text)) == 5


def test_the_headline_figures_are_those_of_the_run(report: RunReport, page: Page) -> None:
    assert report.quality is not None
    latent, pca = report.quality.spaces["latent"], report.quality.spaces["pca"]
    for words in (
        "Published 12,345 items",
        f"Neighbours kept {latent.neighbour_recall:.1%} PCA {pca.neighbour_recall:.1%}",
        "Index finds 99.37% of the 10 nearest",
        "Took 102 s 83.2 s compute",
    ):
        assert words in page.text


def test_what_was_refused_is_counted(page: Page) -> None:
    assert "7 of 127 rows (5.51%) broke a row rule" in page.text
    assert "duplicate_id 4" in page.text
    assert "2 expectations about the table: 0 critical failures, 1 warning, 1 passed" in page.text
    assert "below 0.5 nats 0.73 nats" in page.text


def test_the_training_is_told(page: Page) -> None:
    assert "Stopped early after 10 of 40 epochs: 4 passed without a better validation loss." in page.text
    for words in (
        "validation loss 8.500 nats",
        "ELBO −12.35 nats",
        "rate 4.321 nats",
        "distortion 8.024 nats",
    ):
        assert words in page.text
    assert "seconds in epochs 15.0 s" in page.text


def test_a_training_that_ran_to_its_end_did_not_stop_early(report: RunReport) -> None:
    assert report.history is not None
    config = parse_config({"generate": {}, "train": {"epochs": 10}})
    text = Page(render(replace(report, config=config))).text
    assert "All 10 epochs were run." in text
    assert "Stopped early" not in text


def test_every_measure_of_the_three_spaces_is_there_and_the_better_one_bold(report: RunReport) -> None:
    assert report.quality is not None
    cells = re.findall(
        r'<tr><th scope="row">([^<]*)</th>((?:<td class="n[^"]*">[^<]*</td>){3})</tr>', render(report)
    )
    shown = {name: re.findall(r'<td class="n([^"]*)">([^<]*)', values) for name, values in cells}
    spaces = [report.quality.spaces[name] for name in ("latent", "pca", "features")]
    expected = {
        "Neighbour recall, cosine": [s.neighbour_recall for s in spaces],
        "Neighbour recall, Euclidean": [s.neighbour_recall_euclidean for s in spaces],
        "Variance kept within categories": [s.variance_kept for s in spaces],
        "Purity of kind": [s.purity["kind"] for s in spaces],
        "Purity of year": [s.purity["year"] for s in spaces],
        "Overlap of tags": [s.label_overlap["tags"] for s in spaces],
    }
    assert list(shown) == list(expected)
    for name, values in expected.items():
        assert [text for _, text in shown[name]] == [f"{value:.3f}" for value in values]
        ours, theirs, features = (bool(mark) for mark, _ in shown[name])
        better, worse = (ours, theirs) if values[0] > values[1] else (theirs, ours)
        assert better
        assert worse == (f"{values[0]:.3f}" == f"{values[1]:.3f}")
        assert not features


def test_the_bundle_and_how_to_ask_it(report: RunReport, page: Page) -> None:
    assert report.published is not None
    out = report.published.path.parents[1]
    assert "index ivf, 1,024 lists, 37 probed" in page.text
    assert "99.37% of the 10 nearest (1,500 queries)" in page.text
    assert "model encoder version 17" in page.text
    assert "embeddings.parquet 7.65 MB" in page.text
    assert "together 9 MB" in page.text
    assert f"streamrec search --item 'it'\"'\"'s-1' -k 10 --out '{out}'" in page.text
    code = "\n".join(word for word in page.words if "Bundle.open" in word)
    compile(code, "snippet", "exec")
    assert f'"{out / "published"}"' in code
    assert '"it\'s-1"' in code


def test_a_decision_is_told_gate_by_gate(report: RunReport) -> None:
    header = ("gate", "champion", "challenger", "at least", "outcome", "reason")
    lines = (
        header,
        ("purity of <kind>", "0.9000", "0.5000", "0.8500", "failed", "-0.4; lower by more than 0.05"),
        ("list overlap", "–", "0.8000", "0.5000", "passed", "fine"),
        ("variance kept", "–", "–", "–", "not applicable", "no numbers"),
    )
    promotion = PromotionReport("Not promoted: purity of <kind>.", False, lines, ("Asked 90 items.",))
    text = render(replace(report, promotion=promotion, published=None))
    found = Page(text)
    assert "refused Not promoted: purity of <kind>." in found.text
    assert "purity of <kind> 0.9000 0.5000 0.8500 failed -0.4; lower by more than 0.05" in found.text
    assert "Asked 90 items." in found.text
    assert {r[1:] for r in found.references if r.startswith("#")} <= set(found.ids)
    assert re.findall(r'<span class="([^"]*)">(?:failed|passed|not applicable)<', text)[-3:] == [
        "tag critical",
        "tag passed",
        "soft",
    ]


def test_time_is_split_between_compute_and_the_rest(page: Page) -> None:
    assert "83.2 s of 102 s (81%) were compute" in page.text
    assert "The rest: Prefect 9.5 s, validation 6.5 s, tracking 3.0 s." in page.text
    assert "train 80.0 s 78%" in page.text


def test_neighbours_samples_and_path_are_shown(report: RunReport, page: Page) -> None:
    text = render(report)
    assert text.count('<tr class="asked">') == 10
    assert "Neighbours of 10 held-out items" in page.text
    assert re.search(r"latent of item-\d+ \(A\) to that of item-\d+ \(B\)", page.text)


@pytest.mark.parametrize(
    "part", ["ingested", "validation", "history", "quality", "evaluation", "published", "durations"]
)
def test_a_run_without_a_part_is_reported_without_it(report: RunReport, part: str) -> None:
    found = Page(render(replace(report, **{part: None})))
    assert {r[1:] for r in found.references if r.startswith("#")} <= set(found.ids)
    assert len(found.text) < len(Page(render(report)).text)


def test_a_run_that_failed_at_once_still_has_a_page(report: RunReport) -> None:
    assert "Item embeddings" in Page(render(RunReport("r", report.config))).text


def test_the_file_appears_whole(report: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, report)
    assert path.read_text(encoding="utf-8") == render(report)
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_of_the_evaluation_is_no_error(report: RunReport, tmp_path: Path) -> None:
    assert "svg" not in Page(render(replace(report, evaluation=tmp_path))).tags
