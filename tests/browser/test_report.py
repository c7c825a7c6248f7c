"""report.html in a real browser: no errors, no requests, filters, formulas, a phone, axe, speed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from rlsc.report.charts import Band, Chart, Measured, Series
from rlsc.report.html.render import render
from rlsc.report.page import Case, Cases, Curves, Heading, Headline, Page, Paragraph, Table
from rlsc.report.sections.cases import paired
from tests.unit.report.runs import answer_row as row
from tests.unit.report.test_page import HOSTILE

Open = Callable[..., Tab]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a page and, at the end, fails on any error of the console and any request."""
    problems: list[str] = []
    tabs: list[Tab] = []

    def opened(page: Page, width: int = 1100, scheme: Any = "light") -> Tab:
        file = tmp_path / "report.html"
        file.write_text(render(page), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tabs.append(tab)
        tab.on("console", lambda one: problems.append(f"console: {one.text}"))
        tab.on("pageerror", lambda error: problems.append(f"error: {error}"))
        tab.on("dialog", lambda one: (problems.append("dialog"), one.dismiss()))
        tab.on(
            "request",
            lambda one: None if one.url == file.as_uri() else problems.append(one.url[:100]),
        )
        tab.goto(file.as_uri())
        if any(isinstance(block, Cases) and block.cases for block in page.blocks):
            tab.wait_for_function("document.getElementById('count').textContent !== ''")
        return tab

    yield opened
    for tab in tabs:
        tab.close()
    assert not problems


def spans(text: str) -> dict[str, Any]:
    ends = list(range(1, len(text) + 1))
    return {"token_ends": ends, "token_logps": [math.log((i % 10 + 1) / 10) for i in ends]}


def a_page() -> Page:
    right = "So $\\frac{1}{2} + x^2$ and \\[\\sum_i i\\] give \\boxed{\\frac{1}{2}}"
    before = [
        row("one", "long way round " * 5, 50, "wrong"),
        row("two", "fine", 9),
        row("three", "good then", 9),
        row("four", "bad", 7, "unparsed"),
    ]
    after = [
        row("one", right, 8, **spans(right)),
        row("two", "fine", 9),
        row("three", "spoilt", 30, "wrong"),
        row("four", "bad still", 7, "wrong"),
    ]
    bands = [Band(-0.5, 1.5, "healthy"), Band(1.5, 2.5, "narrowing")]
    chart = Chart("Confidence", "updates made", "p", [Series("a", [(0, 0.1), (2, 0.9)])], bands)
    other = paired("other", before[:1], after[:1])
    numbers = [Measured("tuned", 61.5, (52.3, 69.9)), Measured("base at its best", 58.9)]
    return Page(
        "rlsc on arithmetic",
        [
            Headline("It got better.", numbers, ["A note."], [("steps", "10")]),
            Curves([chart, replace(chart, title="Length"), replace(chart, title="Diversity")]),
            Heading("Before and after"),
            Paragraph("Some words."),
            Table(("", "base"), [("greedy", "61.5")], bold=frozenset([0])),
            Table(("", "base"), [("greedy", "61.5")], words=True, folded="More"),
            Cases([*paired("first", before, after), *other]),
        ],
    )


def only(cases: Iterable[Case]) -> Page:
    return Page("t", [Headline("h"), Cases(list(cases))])


def test_it_opens_and_shows_its_cases(open_page: Open) -> None:
    tab = open_page(a_page())
    assert tab.locator(".case").count() == 5
    assert tab.locator("#count").inner_text() == "5 of 5 cases"
    assert tab.locator("svg .dot").count() == 8


@pytest.mark.parametrize(
    ("field", "value", "ids"),
    [
        ("#benchmark", "other", ["one"]),
        ("#flip", "gained", ["one", "one"]),
        ("#flip", "lost", ["three"]),
        ("#flip", "both", ["two"]),
        ("#flip", "neither", ["four"]),
        ("#flip", "unparsed", []),
        ("#flip", "wrong", ["three", "four"]),
        ("#length", "shorter", ["one", "one"]),
        ("#length", "longer", ["three"]),
        ("#text", "SPOILT", ["three"]),
        ("#text", "what is two", ["two"]),
        ("#text", "nowhere", []),
    ],
)
def test_the_filter_finds(open_page: Open, field: str, value: str, ids: list[str]) -> None:
    tab = open_page(a_page())
    if field == "#text":
        tab.fill(field, value)
    else:
        tab.select_option(field, value)
    titles = [title.split(" · ")[1] for title in tab.locator(".case h3").all_text_contents()]
    assert titles == ids
    assert tab.locator("#count").inner_text() == f"{len(ids)} of 5 cases"


def test_formulas_are_rendered_and_confidence_is_shaded(open_page: Open) -> None:
    tab = open_page(a_page())
    tab.fill("#text", "so $")
    assert tab.locator(".case").first.locator(".katex").count() == 3
    assert tab.locator(".katex-error").count() == 0
    tab.select_option("#view", "confidence")
    tokens = tab.locator(".case").first.locator(".token")
    assert tokens.count() > 30
    shades = {tokens.nth(i).get_attribute("style") for i in range(10)}
    assert len(shades) > 5
    tab.select_option("#view", "plain")
    assert "$\\frac{1}{2}" in (tab.locator(".case").first.text_content() or "")


@pytest.mark.parametrize("view", ["formulas", "confidence", "plain"])
def test_hostile_text_does_nothing(open_page: Open, view: str) -> None:
    rows = [row(text[:200], text, **spans(text[:3000])) for text in HOSTILE]
    tab = open_page(only(paired("<b>x</b>", rows, rows)))
    tab.select_option("#view", view)
    assert tab.locator(".case").count() == len(HOSTILE)
    assert tab.locator("#list img, #list script, #list iframe").count() == 0
    assert tab.locator('#list a[href*="javascript"]').count() == 0
    text = tab.locator("#list").evaluate("one => one.textContent")
    assert not [one for one in "\u202e\u2066\u200b\ufeff\u2028\x00" if one in text]


def test_prices_are_no_formulas_and_words_in_formulas_stay_words(open_page: Open) -> None:
    text = "It costs $80,000 and then $50,000. \\(\\text{miles per hour}\\), $x$ or $y$."
    tab = open_page(only(paired("b", [row("one", text)], [])))
    answer = tab.locator(".case .sides")
    assert answer.locator(".katex").count() == 3
    assert "costs $80,000 and then $50,000." in answer.inner_text()
    assert answer.locator(".katex").first.bounding_box()["height"] < 40


def test_one_model_is_filtered_by_its_verdict(open_page: Open) -> None:
    rows = [row("one", "a"), row("two", "b", verdict="timeout")]
    tab = open_page(only(paired("b", [], rows)))
    assert tab.locator("#flip option:not([hidden])").count() == 5
    assert not tab.locator("#length").is_visible()
    tab.select_option("#flip", "timeout")
    assert tab.locator(".case").count() == 1


def test_the_first_screen_shows_the_verdict_the_numbers_and_the_curves(open_page: Open) -> None:
    tab = open_page(a_page(), width=1280)
    for part in (".headline", ".numbers .n1", ".numbers .n2", ".intervals svg", ".lead .chart"):
        for element in tab.locator(part).all():
            box = element.bounding_box()
            assert box
            assert box["y"] + box["height"] <= 800, part
    assert tab.locator("table").first.bounding_box()["y"] > tab.locator(".lead").bounding_box()["y"]


def test_a_phone_shows_all_of_it(open_page: Open) -> None:
    tab = open_page(a_page(), width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Open, scheme: str) -> None:
    tab = open_page(a_page(), scheme=scheme)
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


def test_the_keyboard_reaches_everything(open_page: Open) -> None:
    tab = open_page(a_page())
    seen = []
    for _ in range(14):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("document.activeElement.id || document.activeElement.className"))
    for name in ("skip", "benchmark", "flip", "length", "text", "view"):
        assert name in seen


def test_five_thousand_cases_stay_quick(open_page: Open, tmp_path: Path) -> None:
    text = "Let us see: " + " ".join(f"{i} + {i} = {2 * i}," for i in range(120))
    rows = [row(f"q{i}", f"{text} {i}", 400, **spans(text)) for i in range(5000)]
    started = time.perf_counter()
    page = only(paired("b", rows, rows))
    tab = open_page(page)
    assert time.perf_counter() - started < 20  # built and opened
    assert (tmp_path / "report.html").stat().st_size < 25e6
    began = time.perf_counter()
    tab.fill("#text", "4999")
    tab.wait_for_function("document.getElementById('count').textContent.startsWith('1 of')")
    assert time.perf_counter() - began < 2
    tab.fill("#text", "")
    tab.wait_for_function("!document.getElementById('count').textContent.startsWith('1 of')")
    tab.click("#more")
    assert tab.locator(".case").count() == 50
