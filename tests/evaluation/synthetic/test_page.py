"""The comparison's page needs nothing but itself, and says no number that its table does not have."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from html_pages import NASTY, Page
from small_tables import mixed_table

from streamrec.evaluation.synthetic.comparison import Comparison, Trial
from streamrec.evaluation.synthetic.figures import FIGURES
from streamrec.evaluation.synthetic.outputs import COMPARISON_PAGE, COMPARISON_TABLE
from streamrec.evaluation.synthetic.page import render, write_comparison
from streamrec.evaluation.synthetic.reference import Reference
from streamrec.evaluation.synthetic.suite import HOLDOUT, INDEPENDENT, floors, judge
from streamrec.schema import FeatureSchema

SCHEMA = FeatureSchema(
    item_id="id", categorical=(NASTY, "size"), multi_label=("tags",), numeric=("price", "stock", "age")
)


def hostile(rows: int, seed: int) -> pa.Table:
    """A table with a hostile column name, category and label."""
    table = mixed_table(rows, seed).rename_columns([NASTY, "size", "tags", "price", "stock", "age"])
    names = [NASTY if name == "red" else name for name in table[NASTY].to_pylist()]
    tags = [[NASTY if tag == "sale" else tag for tag in labels] for labels in table["tags"].to_pylist()]
    return table.set_column(0, NASTY, pa.array(names)).set_column(2, "tags", pa.array(tags))


TRAIN, HELD_OUT = hostile(240, 1), hostile(80, 2)
SAMPLES = hostile(240, 3)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.of(TRAIN, HELD_OUT, SCHEMA)


@pytest.fixture(scope="module")
def comparison(reference: Reference) -> Comparison:
    both = [floors(reference, 240, seed) for seed in (0, 1)]
    price = SAMPLES.column_names.index("price")
    dear = SAMPLES.set_column(price, "price", pc.multiply(SAMPLES["price"], 4.0))
    tables = {"source": SAMPLES, NASTY: dear, "copier": TRAIN}
    likelihoods, steps = (-3.25, None, None), (20, None, 5)
    trials = [
        Trial(family, seed, judge(table, reference, seed, nll), 12.5, 0.25, taken)
        for (family, table), nll, taken in zip(tables.items(), likelihoods, steps, strict=True)
        for seed in (0, 1)
    ]
    return Comparison(trials, {name: [pair[name] for pair in both] for name in (HOLDOUT, INDEPENDENT)})


@pytest.fixture(scope="module")
def html(comparison: Comparison, reference: Reference) -> str:
    return render(comparison, reference, SAMPLES)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_needs_nothing_but_itself(html: str, page: Page) -> None:
    assert [r for r in page.references if not r.startswith(("#", "data:image/png;base64,"))] == []
    styles = re.findall(r"<style>.*?</style>|style=\"[^\"]*\"", html, re.S)
    assert [s for s in styles if re.search(r"@import|url\((?!#)", s)] == []
    assert not {"link", "iframe", "object", "embed", "script", "form"} & set(page.tags)
    assert "http" not in html


def test_every_reference_inside_the_page_has_its_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)


def test_names_are_escaped(page: Page) -> None:
    assert page.handlers == []
    assert "img" not in page.tags
    assert NASTY[:60] in page.text


def test_tables_can_be_read_aloud(html: str, page: Page) -> None:
    assert len(re.findall(r"<th(?=[ >])", html)) == len(re.findall(r"<th[^>]* scope=", html))
    assert page.tags.count("svg") == len(re.findall(r'<svg role="img" aria-label="\w', html)) == 4


def test_every_figure_stands_beside_both_floors_with_its_range(html: str, comparison: Comparison) -> None:
    table = html[html.index("<tbody>") : html.index("</tbody>")]
    lines = re.findall(r'<tr><th scope="row">(.*?)</th><td class="n soft">(.*?)</td>(.*?)</tr>', table, re.S)
    by_key = {figure.key: figure for figure in FIGURES}
    keys = [key for key in by_key if any(key in found for found in comparison.figures.values())]
    assert len(lines) == len(keys) + 1
    for key, (_, _, cells) in zip(keys, lines, strict=False):
        shown = re.findall(r'<td class="n[^"]*">(.*?)(?:<small>(.*?)</small>)?</td>', cells)
        expected = []
        for found in comparison.figures.values():
            write, summary = by_key[key].write, found.get(key)
            if summary is None:
                expected.append(("–", ""))
                continue
            low, high = write(summary.low), write(summary.high)
            expected.append((write(summary.mean), f"{low} – {high}" if low != high else ""))
        assert shown == expected
        assert len(shown) == 5


def test_the_families_nearest_to_the_ideal_are_bold_and_the_floors_never(
    html: str, comparison: Comparison
) -> None:
    shape = re.search(r">Shape error, %</th>.*?</tr>", html, re.S)
    assert shape is not None
    # The copier has none, and is no candidate.
    assert re.findall(r'<td class="n( best)?">', shape[0]) == ["", "", " best", "", ""]
    marks = re.search(r">Exact copies, %</th>.*?</tr>", html, re.S)
    assert marks is not None
    # Floors first; of the families only the copier copies.
    assert re.findall(r'<td class="n( best)?">', marks[0]) == ["", "", " best", " best", ""]


def test_the_best_family_is_told_and_why_another_is_not(page: Page, comparison: Comparison) -> None:
    assert comparison.best == "source"
    assert f"Best family source mean rank {comparison.mean_ranks['source']:.2f}" in page.text
    assert "leaks copier is not chosen: 100.0% of its rows are copies" in page.text


def test_a_warning_stands_where_every_family_leaks(comparison: Comparison, reference: Reference) -> None:
    copiers = [trial for trial in comparison.trials if trial.family == "copier"]
    text = Page(render(replace(comparison, trials=copiers), reference, TRAIN)).text
    assert "Every family gives training rows away, so none is fit to publish: copier (100.0%" in text
    assert "is not chosen" not in text


def test_every_number_of_the_page_is_in_the_table(html: str, comparison: Comparison) -> None:
    numbers = set()
    for row in comparison.table().to_pylist():
        for value in (row["mean"], row["low"], row["high"]):
            numbers |= {round(value * factor, digits) for factor in (1, 100) for digits in range(6)}
            numbers |= {float(f"{value:.3g}"), float(f"{value:.4g}")}
    cells = re.findall(r'<td class="n(?: best)?">([^<]*)(?:<small>([^<]*) – ([^<]*)</small>)?', html)
    shown = {text for cell in cells for text in cell if text not in ("", "–")}
    assert len(shown) > 100
    for text in shown:
        value = float(text.replace("−", "-").replace(",", "").rstrip("% s"))
        assert any(math.isclose(value, number, abs_tol=1e-9) for number in numbers), text


def test_both_files_appear_whole(
    html: str, comparison: Comparison, reference: Reference, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "comparison"
    write_comparison(folder, comparison, reference, SAMPLES)
    assert sorted(path.name for path in folder.iterdir()) == [COMPARISON_PAGE, COMPARISON_TABLE]
    assert (folder / COMPARISON_PAGE).read_text(encoding="utf-8") == html
    assert pq.read_table(folder / COMPARISON_TABLE).equals(comparison.table())


def test_a_schema_of_labels_only_has_a_page() -> None:
    labels = FeatureSchema(item_id="id", multi_label=("tags",))
    reference = Reference.of(TRAIN, HELD_OUT, labels)
    found = Comparison([Trial("a", 0, judge(SAMPLES, reference, 0), 1.0, 1.0)], {})
    text = Page(render(found, reference, SAMPLES)).text
    assert "too few numeric columns" in text
    assert "AUC of None" not in text
