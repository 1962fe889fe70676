"""Figures are written and ranked at one precision, by their distance from what is ideal."""

from __future__ import annotations

import pytest

from streamrec.evaluation.synthetic.figures import FIGURES

BY_KEY = {figure.key: figure for figure in FIGURES}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("shape_error", 0.01234, "1.23"),
        ("precision", 1.0, "1.000"),
        ("detection_auc", 0.49951, "0.500"),
        ("utility_r2", -0.0204, "−0.020"),
        ("frechet_features", 1234.5678, "1,235"),
        ("nll", -31.2345, "−31.23"),
        ("nll", None, "–"),
    ],
)
def test_a_value_is_written_with_its_unit_in_the_label(key: str, value: float | None, text: str) -> None:
    assert BY_KEY[key].write(value) == text


@pytest.mark.parametrize(
    ("key", "better", "worse"),
    [
        ("shape_error", 0.01, 0.02),
        ("coverage", 0.96, 0.95),
        ("density", 1.1, 0.8),
        ("detection_auc", 0.45, 0.56),
        ("closest_record_share", 0.51, 0.48),
        ("nll", -40.0, -31.0),
    ],
)
def test_the_gap_grows_away_from_the_ideal(key: str, better: float, worse: float) -> None:
    assert BY_KEY[key].gap(better) < BY_KEY[key].gap(worse)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.key)
def test_values_that_read_alike_are_equally_far(figure) -> None:
    assert figure.write(0.61231) == figure.write(0.61229)
    assert figure.gap(0.61231) == figure.gap(0.61229)


def test_keys_are_unique_and_each_says_what_it_means() -> None:
    assert len(BY_KEY) == len(FIGURES)
    assert all(figure.meaning.endswith(".") for figure in FIGURES)
    assert sum(figure.chooses for figure in FIGURES) == 8
