from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalog.checks import Check, ValidationResult
from streamrec.catalog.column_profiles import CategoryProfile, NumericProfile
from streamrec.catalog.profile import Profile
from streamrec.catalog.validation_page import render

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Visible text, and the attributes that make a browser fetch something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.targets: list[str] = []
        self.open_columns = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "img", "link")
        if tag not in VOID:
            self.open.append(tag)
        names = dict(attrs)
        self.open_columns += tag == "details" and "open" in names
        self.targets += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


def check(column: str | None, success: bool = True, severity: str = "critical", **text: str) -> Check:
    words = {"name": "type", "expected": "text", "observed": "text", **text}
    return Check(column=column, success=success, severity=severity, **words)  # type: ignore[arg-type]


def result(*checks: Check, sampled: int = 5, reference: int | None = None) -> ValidationResult:
    return ValidationResult(
        catalog=Path("/somewhere/items.parquet"),
        rows=5,
        sampled_rows=sampled,
        reference_rows=reference,
        seconds=1.25,
        checks=checks,
        notes=(),
        files={"result": Path("/somewhere/validation/result.json"), "summary": Path("summary.html")},
    )


def profile(genres: dict[str, int], prices: tuple[int, ...] = (2, 3)) -> Profile:
    price = NumericProfile(
        missing=0, not_finite=0, minimum=0, maximum=2, atoms=(), edges=(1.0,), counts=prices
    )
    genre = CategoryProfile(kind="category", missing=1, empty=0, counts=genres, other=0)
    return Profile(rows=5, columns={"genre": genre, "price": price})


def test_failures_come_first_and_their_columns_are_open() -> None:
    checks = [
        check("good"),
        check("fair", False, "warning", observed="soso"),
        check("bad", False, observed="awful"),
    ]
    page = Page(render(result(*checks), profile({}), None))
    text = page.text
    assert "Failed" in text
    assert "1 critical" in text
    assert "1 warnings" in text
    assert "1 passed" in text
    assert text.index("awful") < text.index("soso") < text.index("good")
    assert page.open_columns == 2


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([check(None)], "Passed Nothing published"),
        ([check("a", False, "warning")], "Passed with warnings"),
        ([check("a", False)], "Failed"),
    ],
)
def test_verdict_is_the_worst_failure(checks: list[Check], verdict: str) -> None:
    assert verdict in Page(render(result(*checks), profile({}), None)).text


def test_page_fetches_nothing_and_links_only_to_files_beside_it() -> None:
    html = render(result(check("genre"), check("price")), profile({"a": 3, "b": 1}), profile({"a": 4}))
    assert Page(html).targets == ["result.json"]
    assert re.findall(r"https?:|url\(|@import|//\w", html) == []
    assert "somewhere" not in html


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_is_shown_as_text(column: str, category: str) -> None:
    checks = result(check(column, False, observed=category), check("genre"), reference=5)
    page = Page(render(checks, profile({category: 4}), profile({category: 3, "b": 1})))
    assert page.open == []
    assert "".join(column.split()) in "".join(page.text.split())
    assert "".join(category.split()) in "".join(page.text.split())


def test_shares_are_shown_beside_the_reference() -> None:
    page = Page(render(result(check("genre"), reference=5), profile({"a": 4}), profile({"a": 1, "b": 3})))
    assert "a 80.0% was 20.0% b 0.0% was 60.0% (missing) 20.0% was 20.0%" in page.text


def test_values_the_reference_did_not_know_are_shown() -> None:
    page = Page(render(result(check("genre"), reference=5), profile({"new": 4}), profile({"a": 4})))
    assert "(not in the reference) 80.0% was 0.0%" in page.text


def test_sample_is_mentioned_where_there_was_one() -> None:
    assert "seeded sample of 3 rows" in Page(render(result(sampled=3), profile({}), None)).text
    assert "sample" not in Page(render(result(sampled=5), profile({}), None)).text


def test_column_that_could_not_be_read_is_shown_with_its_checks() -> None:
    text = Page(render(result(check("lost", False, observed="struct")), profile({}), profile({}))).text
    assert "lost critical" in text
