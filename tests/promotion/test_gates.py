"""Each gate on closed cases: passes, fails, does not apply."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.config import RunConfig, parse_config
from streamrec.errors import BundleError, ConfigError
from streamrec.evaluation.ranking.verdict import Difference, Verdict
from streamrec.promotion.decision import DECISION_TABLE, Decision, Row
from streamrec.promotion.gates import GatesConfig
from streamrec.promotion.judge import compared_rows, encoder_rows, index_row, share_row, taken_back_rows
from streamrec.promotion.judge_towers import baseline_rows
from streamrec.promotion.measure import Compared, MeasuredEncoders, Share
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(item_id="id", categorical=("kind",), multi_label=("tags",), numeric=("price",))
NAMES = ["neighbour recall", "purity of kind", "overlap of tags", "variance kept", "list overlap"]


def measured(low: float, high: float, overlap: float = 0.8) -> MeasuredEncoders:
    """Every figure with the same interval of its difference."""
    found = Compared(0.8, 0.8 + (low + high) / 2, low, high)
    return MeasuredEncoders(
        dict.fromkeys(NAMES[:-1], found), Share(overlap, overlap - 0.05, overlap + 0.05), 50, 900, 10
    )


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.2, -0.051, "failed"), (-0.2, -0.05, "passed"), (-0.01, 0.03, "passed"), (0.2, 0.3, "passed")],
)
def test_a_figure_fails_where_its_whole_interval_is_below_the_tolerance(
    low: float, high: float, outcome: str
) -> None:
    rows = encoder_rows(measured(low, high), GatesConfig(), SCHEMA)
    assert [row.gate for row in rows] == NAMES
    assert {row.outcome for row in rows[:-1]} == {outcome}
    assert rows[0].bound == pytest.approx(0.75)


@pytest.mark.parametrize(("value", "outcome"), [(0.44, "failed"), (0.45, "passed"), (0.9, "passed")])
def test_lists_must_overlap_by_the_least_share_given_their_interval(value: float, outcome: str) -> None:
    row = share_row("list overlap", Share(value, value - 0.05, value + 0.05), 0.5)
    assert (row.outcome, row.champion, row.bound) == (outcome, None, 0.5)


def test_gates_that_need_a_champion_do_not_apply_without_one() -> None:
    rows = encoder_rows(None, GatesConfig(), SCHEMA, "no champion: nothing is published yet")
    assert [row.gate for row in rows] == NAMES
    assert {(row.outcome, row.reason) for row in rows} == {
        ("not applicable", "no champion: nothing is published yet")
    }
    assert Decision.of(rows).promoted


def test_lists_are_compared_even_where_figures_cannot_be() -> None:
    rows = encoder_rows(measured(-1, -0.9, 0.1), GatesConfig(), SCHEMA, "only 2 are new")
    assert [row.outcome for row in rows] == ["not applicable"] * 4 + ["failed"]


def test_a_gate_that_is_taken_away_is_not_there_nor_one_without_a_column() -> None:
    gates = GatesConfig(neighbour_recall=None, list_overlap=None)
    schema = FeatureSchema(item_id="id", categorical=("a", "b"))
    rows = encoder_rows(None, gates, schema)
    assert [row.gate for row in rows] == ["purity of a", "purity of b"]


def test_a_figure_that_nobody_could_measure_does_not_apply() -> None:
    (row,) = compared_rows({}, {"variance kept": 0.05})
    assert row.outcome == "not applicable"


@pytest.mark.parametrize(("recall", "outcome"), [(0.98, "passed"), (0.9799, "failed"), (1.0, "passed")])
def test_an_index_is_held_to_what_publishing_promises_with_or_without_champion(
    recall: float, outcome: str
) -> None:
    assert index_row(recall, None, 0.99, 0.01).outcome == outcome
    # A flat index finds all: one of inverted lists, of a catalogue that has grown, need not.
    assert index_row(recall, 1.0, 0.99, 0.01).outcome == outcome


def test_a_model_that_was_rolled_back_is_not_published_again_by_itself() -> None:
    assert taken_back_rows(None) == ()
    (row,) = taken_back_rows("to bundle 1: wrong neighbours")
    assert (row.outcome, row.reason) == ("failed", "it was rolled back to bundle 1: wrong neighbours")


def test_towers_must_stand_above_every_baseline_on_each_figure() -> None:
    differences = (
        Difference("ease", "ndcg@10", 0.02, 0.01, 0.03, 1.1),
        Difference("popular", "ndcg@10", 0.01, -0.01, 0.03, 1.1),
        Difference("ease", "recall@20", 0.02, 0.01, 0.03, 1.1),
        Difference("popular", "recall@20", 0.05, 0.01, 0.09, 1.1),
    )
    judged = ("ndcg@10", "recall@20")
    rows = baseline_rows(Verdict("two-tower", judged, differences, {"ndcg@10": 0.2, "recall@20": 0.3}))
    assert [row.outcome for row in rows] == ["failed", "passed"]
    assert [row.bound for row in rows] == [pytest.approx(0.19), pytest.approx(0.28)]
    rows = baseline_rows(Verdict("two-tower", judged, (), {}))
    assert [row.outcome for row in rows] == ["failed", "failed"]


PASSED = Row(gate="a", champion=0.5, challenger=0.6, bound=0.45, outcome="passed", reason="+0.1")
FAILED = Row(gate="purity of <a|b>", challenger=0.1, outcome="failed", reason="lower by more | than 0.05")


def test_one_failed_gate_refuses_and_force_is_recorded_everywhere(tmp_path: Path) -> None:
    refused = Decision.of((PASSED, FAILED), "v1", ("A note.",))
    assert not refused.promoted
    assert refused.headline == "Not promoted: 1 of 2 gates do not hold: purity of <a|b>."
    assert refused.to_tags()["promotion"] == "refused"
    forced = refused.force("the catalogue was rebuilt")
    assert forced.promoted
    assert forced.failed == (FAILED,)
    for told in (forced.headline, forced.to_markdown(), forced.to_tags()["promotion.why"]):
        assert "the catalogue was rebuilt" in told
    tags = forced.to_tags()
    assert (tags["promotion"], tags["promotion.champion"]) == ("forced", "v1")
    assert tags["gate.a"] == "passed: +0.1"
    assert tags["gate.purity of _a_b_"] == "failed: lower by more | than 0.05"
    forced.write(tmp_path)
    assert Decision.read(tmp_path) == forced
    table = pq.read_table(tmp_path / DECISION_TABLE)
    assert table["champion"].to_pylist() == [0.5, None]
    assert b'"forced":true' in table.schema.metadata[b"streamrec.decision"]


def test_what_is_in_use_already_and_what_has_no_gates_say_so() -> None:
    assert Decision.standing("v7").headline == "It is in use already: v7."
    assert Decision.standing("v7").promoted
    assert Decision.of(()).headline == "Promoted: there are no gates."


def test_a_table_in_markdown_keeps_its_cells() -> None:
    lines = Decision.of((PASSED, FAILED)).to_markdown().splitlines()
    cells = [line.replace("\\|", "").count("|") for line in lines if line.startswith("|")]
    assert cells == [7, 7, 7, 7]


def test_a_folder_without_a_decision_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"decision\.json: no decision"):
        Decision.read(tmp_path)
    (tmp_path / "decision.json").write_text("{}")
    with pytest.raises(BundleError, match="not a decision"):
        Decision.read(tmp_path)


@given(st.text(max_size=300))
def test_a_tag_has_a_name_and_a_length_that_mlflow_takes(column: str) -> None:
    row = PASSED.model_copy(update={"gate": f"purity of {column}", "reason": "x" * 5_000})
    for name, value in Decision.of((row,)).to_tags().items():
        assert len(name) <= 250
        assert len(value) <= 1_000
        assert not set(name) & set('<>|"\\{}[]\n')


def test_gates_are_settings_of_a_run() -> None:
    config = parse_config({"generate": {}, "gates": {"purity": None}}, ["gates.list_overlap=0.1"])
    assert isinstance(config, RunConfig)
    assert (config.gates.purity, config.gates.list_overlap) == (None, 0.1)
    with pytest.raises(ConfigError, match=r"gates\.list_overlap"):
        parse_config({"generate": {}, "gates": {"list_overlap": 1.5}})
