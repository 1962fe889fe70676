from __future__ import annotations

from pathlib import Path

from flows.retrieval_summary import RetrievalSummary

SUMMARY = RetrievalSummary(
    run="20260101T000000Z-abcd",
    folder=Path("/somewhere/out/runs/20260101T000000Z-abcd"),
    trained_on="v1",
    bundle=Path("/somewhere/out/published/v2"),
    promotion="Promoted: 6 of 6 gates hold against the champion.",
    items=1234,
    users=77,
    events=9876,
    refused=5,
    model="streamrec-two-tower",
    version=3,
    tracking_uri="sqlite:////somewhere/mlflow.db",
    split="Global time split.",
    verdict=("two-tower beats its baselines on ndcg@10", "ndcg@10: 0.3 against 0.2 of ease"),
    metrics={"ndcg@10": 0.3},
    example="it's 7",
    warnings=("column 'item': unknown: expected at most 1%, found 2%",),
    seconds={"track": 1.0, "open": 2.0, "train": 8.0, "index": 4.0, "validate": 3.0, "register": 0.5},
    total_seconds=20.0,
)
REFUSED = SUMMARY.model_copy(
    update={
        "bundle": None,
        "promotion": "Not promoted: 1 of 4 gates do not hold: ndcg@10 against the baselines.",
        "verdict": ("two-tower does not beat its baselines on ndcg@10",),
    }
)


def test_the_last_screen_of_published_towers_has_a_command_that_can_be_pasted() -> None:
    text = SUMMARY.to_text()
    assert text.startswith("Published towers for 77 users and 1,234 items.")
    assert "streamrec-two-tower version 3, the champion" in text
    assert "5 rows, kept in /somewhere/out/runs/20260101T000000Z-abcd/quarantine.parquet" in text
    assert "streamrec recommend --user 'it'\"'\"'s 7' --out /somewhere/out" in text
    assert SUMMARY.all_warnings == SUMMARY.warnings


def test_towers_that_were_not_published_are_a_warning_everywhere_and_recommend_nothing() -> None:
    text = REFUSED.to_text()
    assert text.startswith("warning: Not published: version 3 of streamrec-two-tower stays the challenger")
    assert "gates do not hold: ndcg@10 against the baselines" in text
    assert "does not beat its baselines on ndcg@10" in text
    assert "version 3, the challenger" in text
    assert "streamrec recommend" not in text
    assert "- Not published" in REFUSED.to_markdown()
    assert REFUSED.all_warnings[1:] == SUMMARY.warnings


def test_making_vectors_is_computing() -> None:
    assert SUMMARY.compute == {"open": 2.0, "train": 8.0, "index": 4.0}


def test_json_round_trip() -> None:
    for summary in (SUMMARY, REFUSED):
        assert RetrievalSummary.model_validate_json(summary.model_dump_json()) == summary
