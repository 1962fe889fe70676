from __future__ import annotations

from pathlib import Path

import pytest

from flows.summary import AugmentersSummary, RunSummary

SUMMARY = RunSummary(
    run="20260101T000000Z-abcd",
    folder=Path("/somewhere/out/runs/20260101T000000Z-abcd"),
    bundle=Path("/somewhere/out/published/v1"),
    promotion="Promoted: 7 of 7 gates hold against the champion.",
    items=1234,
    refused=5,
    dimension=16,
    model="streamrec-item-encoder",
    version=3,
    tracking_uri="sqlite:////somewhere/mlflow.db",
    metrics={
        "latent_neighbour_recall": 0.75,
        "pca_neighbour_recall": 0.5,
        "active_units": 16.0,
        "latent_only": 1.0,
    },
    example="it's 7",
    warnings=("column 'a': drift: expected at most 0.5 nats, found 0.7 nats",),
    seconds={"track": 1.0, "ingest": 2.0, "validate": 4.0, "train": 8.0, "publish": 16.0, "promote": 0.5},
    total_seconds=40.0,
)


def test_every_second_is_either_compute_or_orchestration() -> None:
    assert SUMMARY.compute == {"ingest": 2.0, "train": 8.0, "publish": 16.0}
    assert SUMMARY.orchestration == pytest.approx({"Prefect": 8.5, "validation": 4.0, "tracking": 1.5})
    assert SUMMARY.compute_seconds + SUMMARY.orchestration_seconds == pytest.approx(SUMMARY.total_seconds)


def test_only_what_was_measured_on_both_is_compared_with_pca() -> None:
    assert SUMMARY.compared_with_pca() == [("neighbour recall", 0.75, 0.5)]


def test_last_screen_tells_quality_warnings_and_a_command_that_can_be_pasted() -> None:
    text = SUMMARY.to_text()
    assert "Published 1,234 items" in text
    assert "neighbour recall    0.750  0.500" in text
    assert (
        "refused          5 rows, kept in /somewhere/out/runs/20260101T000000Z-abcd/quarantine.parquet"
        in text
    )
    assert "warning: column 'a': drift" in text
    assert "streamrec search --item 'it'\"'\"'s 7' --out /somewhere/out" in text


def test_json_round_trip() -> None:
    assert RunSummary.model_validate_json(SUMMARY.model_dump_json()) == SUMMARY


def test_markdown_holds_every_metric_and_stage() -> None:
    page = SUMMARY.to_markdown()
    assert all(f"| {name} |" in page for name in SUMMARY.metrics)
    assert all(f"| {stage} stage |" in page for stage in SUMMARY.seconds)
    assert "- column 'a': drift" in page


FITTED = AugmentersSummary(
    family="flow",
    reason="flow has the lowest mean rank",
    page=Path("/somewhere/comparison.html"),
    model="streamrec-augmenter",
    version=2,
    champion=True,
)


def test_fitted_augmenters_are_named_with_their_version_and_page() -> None:
    summary = SUMMARY.model_copy(update={"augmenters": FITTED})
    assert "flow: streamrec-augmenter version 2, the champion" in summary.to_text()
    assert "/somewhere/comparison.html" in summary.to_text()
    assert "streamrec-augmenter version 2, the champion" in summary.to_markdown()
    leaking = SUMMARY.model_copy(update={"augmenters": FITTED.model_copy(update={"champion": False})})
    assert "the challenger: it gives training rows away" in leaking.to_text()
    assert "augmenter" not in SUMMARY.to_text()


def test_augmenters_that_failed_are_a_warning_on_every_screen() -> None:
    failed = SUMMARY.model_copy(update={"augmenters": AugmentersSummary(error="found 7 rows")})
    assert "warning: augmenters: found 7 rows" in failed.to_text()
    assert "- augmenters: found 7 rows" in failed.to_markdown()
    assert "version None" not in failed.to_text()
