"""A page as HTML without a browser: escaping, packing, charts, lengths."""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from rlsc.report.charts import INK, Band, Chart, Intervals, Measured, Series
from rlsc.report.escaping import plain
from rlsc.report.html.packing import packed
from rlsc.report.html.render import render
from rlsc.report.markdown import to_markdown
from rlsc.report.page import (
    Bullets,
    Case,
    Cases,
    Code,
    Curves,
    Heading,
    Headline,
    Page,
    Paragraph,
    Table,
)
from rlsc.report.sections.answers import histograms
from rlsc.report.sections.cases import LONGEST, paired
from rlsc.report.sections.words import length_lines
from rlsc.report.svg import draw, sheet
from rlsc.types import Estimate, LengthChange
from tests.unit.report.runs import answer_row as row

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "<!-- --><svg onload=alert(1)>",
    "\u202egnp.exe\u2066",
    "lone \ud800 half",
    "\x00\x1b[31mred",
    "$\\href{javascript:alert(1)}{x}$",
    "x" * 1_000_000,
    "{{ 7 * 7 }} {% raw %}",
    "$\\text{\u202eevil\u2066}$ \\(\\text{\x00}\\) \u200b\ufeff\u2028",
)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def unpacked(data: str) -> list[dict]:
    return json.loads(gzip.decompress(base64.b64decode(data)))


def hostile_page(text: str) -> Page:
    short = text[:100]
    chart = Chart(short, short, "y", [Series(short, [(0, 1)])], marks=[(0, text[:9])])
    shares = Intervals(short, [Measured(short, 50.0, (40.0, 60.0), short)])
    blocks = [
        Headline(text, [Measured(short, 50.0)], [text], [(text, text)]),
        Curves([chart, shares]),
        Heading(text),
        Heading(text, 3),
        *(Paragraph(text), Bullets([text]), Table((text, text), [(text, Code(text))])),
        Table((text, text), [(text, text)], folded=text),
        Cases(list(paired(short, [row(short, text)], [row(short, text)]))),
    ]
    return Page(text, blocks)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_text_wherever_it_stands(text: str) -> None:
    html = render(hostile_page(text))
    html.encode("utf-8")  # broken Unicode has become something that can be written
    parser = Elements()
    parser.feed(html)
    scripts = [attributes for tag, attributes in parser.seen if tag == "script"]
    assert len(scripts) == 3  # the data, KaTeX, and the browser of cases
    assert not [tag for tag, _ in parser.seen if tag in ("img", "iframe", "object", "embed")]
    own = {"onerror", "onload", "onclick"}
    assert not [name for _, attributes in parser.seen for name in attributes if name in own]
    body = html.split("</head>")[1].split('id="data"')[0]
    assert "\u202e" not in body
    assert "\x1b" not in body


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_opens_no_tag_and_no_table_in_markdown(text: str) -> None:
    code = re.compile(r"^    .*$|``.*``", re.MULTILINE)
    said = code.sub("", to_markdown(hostile_page(text)))
    tags = re.findall(r"<[^>]*>", said)
    assert set(tags) <= {"<details>", "<summary>", "</summary>", "</details>"}
    cells = [line.replace("\\|", "").count("|") for line in said.splitlines() if line[:1] == "|"]
    assert set(cells) == {3}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_sheet_of_charts_is_one_svg_whatever_stands_in_it(text: str) -> None:
    (curves,) = (block for block in hostile_page(text).blocks if isinstance(block, Curves))
    file = sheet(curves.charts)
    names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(file).iter()}
    shapes = {"svg", "style", "rect", "g", "text", "title", "line", "polyline", "circle"}
    assert names <= shapes


def test_nothing_is_asked_of_the_network() -> None:
    html = render(Page("t", [Headline("h"), Cases([Case("b", "1", "?")])]))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "connect-src" not in policy[1]
    assert policy[1].count("sha256-") == 2
    links = re.findall(r'(?:src|href)="([^"]+)"', html.split("<body>")[1].split("<script")[0])
    assert all(link.startswith(("#", "data:")) for link in links)
    styles = html.split("<style>", 1)[1].split("</style>")
    assert all(
        url.startswith("data:") for style in styles for url in re.findall(r"url\(([^)]*)", style)
    )


def test_cases_come_back_as_they_were() -> None:
    texts = [text for text in HOSTILE if "\ud800" not in text and len(text) < LONGEST]
    found = list(paired("b", [row(str(i), text) for i, text in enumerate(texts)], []))
    data = packed(found)
    assert data.isascii()
    assert "<" not in data
    assert [case["base"]["text"] for case in unpacked(data)] == texts
    assert all(case.tuned is None for case in found)


def test_a_page_that_would_be_too_large_loses_shades_first_and_then_ends() -> None:
    rng = random.Random(0)
    rows = [
        row(str(i), "".join(rng.choices("abcdefghij", k=3000)), token_ends=[3000], token_logps=[-1])
        for i in range(20)
    ]
    found = list(paired("b", rows, rows))
    whole = len(packed(found))
    lighter = packed(found, whole - 1)
    assert len(lighter) < whole
    assert all(case["base"]["spans"] is None for case in unpacked(lighter))
    assert all(len(case["base"]["text"]) == 3000 for case in unpacked(lighter))
    small = packed(found, whole // 4)
    assert len(small) <= whole // 4
    assert all(case["tuned"]["cut"] and case["tuned"]["text"] for case in unpacked(small))
    assert len(unpacked(small)) == 20  # none is dropped


def test_every_question_of_either_side_is_a_case() -> None:
    found = list(paired("b", [row("1", "x"), row("2", "y")], [row("2", "z"), row("3", "w")]))
    sides = [(case.id, bool(case.base), bool(case.tuned)) for case in found]
    assert sides == [("1", True, False), ("2", True, True), ("3", False, True)]


def test_long_texts_are_cut_and_say_so() -> None:
    (case,) = paired("b", [row("1", "x" * (LONGEST + 1))], [])
    assert case.base.cut
    assert len(case.base.text) == LONGEST


def test_spans_hold_lengths_and_probabilities() -> None:
    logps = [math.log(0.5), 0.0, math.log(0.01)]
    (case,) = paired("b", [row("1", "abcdef", token_ends=[2, 2, 6], token_logps=logps)], [])
    assert case.base.spans == [2, 50, 0, 100, 4, 1]


def test_of_several_samples_the_first_is_shown_and_the_majority_decides() -> None:
    before = [row("1", text, 5, verdict) for text, verdict in (("a", "correct"), ("b", "wrong"))]
    before.append(row("1", "b", 5, "wrong"))
    (case,) = paired("b", before, [row("1", "a", prompt="otherwise")])
    assert case.base
    assert case.tuned
    assert (case.base.text, case.base.samples, case.base.right) == ("a", 3, 1)
    assert case.base.decided is False
    assert case.tuned.decided is None
    assert (case.prompt, case.tuned_prompt) == ("What is 1?", "otherwise")


def test_a_chart_is_told_in_words() -> None:
    svg = draw(Chart("T", "x", "y", [Series("a", [(0, 1.0), (1, 5.0), (2, 3.0)])]))
    assert 'aria-label="T. a: 1 at 0, 3 at 2, from 1 to 5."' in svg


def test_a_chart_shows_its_points_bands_and_gaps() -> None:
    points = [(0, 1.0), (1, math.nan), (2, 3.0), (3, 4.0)]
    bands = [Band(-0.5, 1.5, "healthy"), Band(1.5, 3.5, "collapsed")]
    svg = draw(Chart("T", "x", "y", [Series("a", points, [(2, 2.0, 5.0)])], bands, [(2, "kept")]))
    assert svg.count("<circle") == 3
    assert svg.count("<polyline") == 2
    assert 'class="band collapsed"' in svg
    assert ">kept</text>" in svg
    assert "range c0" in svg
    assert draw(Chart("T", "x", "y", [Series("a", [(0, math.nan)])])) == Markup("")


def test_a_level_and_a_shaded_range_are_drawn() -> None:
    series = Series("a", [(0, 1), (1, 2)], [(0, 0, 2), (1, 1, 3)], dashed=True, shaded=True)
    svg = draw(Chart("T", "x", "y", [series], level=(2.5, "base at its best")))
    assert 'class="shade c0 dashed"' in svg
    assert 'class="level"' in svg
    assert ">base at its best</text>" in svg


def test_shares_stand_under_each_other_with_their_intervals() -> None:
    rows = [Measured("tuned", 61.5, (52.3, 69.9)), Measured("base", 30.0, None, "gsm8k", INK)]
    svg = draw(Intervals("", rows))
    assert 'aria-label="tuned: 61.5 % [52.3, 69.9]. gsm8k · base: 30.0 %."' in svg
    assert svg.count('class="range') == 1
    assert svg.count('class="dot') == 2


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-3.0, 4.0], [1e-9, 2e-9], [1e6, 3e6]])
def test_a_chart_has_ticks_for_any_range(values: list[float]) -> None:
    svg = draw(Chart("T", "x", "y", [Series("a", list(enumerate(values)))]))
    assert svg.count("<circle") == len(values)
    assert "nan" not in svg
    heights = [float(y) for y in re.findall(r'cy="([-\d.]+)"', svg)]
    assert all(0 <= y <= 210 for y in heights)


def test_a_change_of_length_in_words() -> None:
    difference = Estimate(-16.17, (-30.0, -2.0))
    change = LengthChange(6, 29.33, 13.2, difference, 0.0312, 0.5, 0.0)
    assert length_lines({"right": change}) == [
        "Right answers: mean length 29.3 → 13.2 tokens, -16.2 [-30.0, -2.0]; Wilcoxon's "
        "signed-rank p = 0.031, n = 6 questions; cut off, and longer in truth: 50 % → 0 %."
    ]


def test_lengths_are_split_by_right_and_wrong() -> None:
    before = [row("1", "x", 5), row("2", "x", 9, "wrong"), row("3", "x", 7, None)]
    charts = histograms(before, before[:1], "Greedy")
    names = [[series.name for series in chart.series] for chart in charts]
    assert names == [
        ["tuned, n = 1", "base, n = 3"],
        ["tuned, n = 1", "base, n = 1"],
        ["base, n = 1"],
    ]
    for chart in charts:
        for series in chart.series:
            assert sum(share for _, share in series.points) == pytest.approx(1)


def test_characters_that_reorder_are_shown_by_their_code() -> None:
    assert plain("a\u202eb<") == "a[U+202E]b&lt;"
