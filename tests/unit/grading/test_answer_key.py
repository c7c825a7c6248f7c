"""The key of an answer: one for all spellings of a number, another for every other answer."""

from __future__ import annotations

import time
from itertools import combinations

import pytest

from rlsc.grading import answer_key
from rlsc.grading.equality.compare import same

CLASSES = [
    ["11", "11.0", "011", "11.", "$11$", "+11", " 11 ", "**11**", "eleven", "1.1e1"],
    ["-11", "−11", "minus eleven", "-11.0"],
    ["1000", "1,000", "1{,}000", "1e3", r"10^{3}", r"1 \times 10^3", "one thousand"],
    ["0", "-0", "0.0", "zero"],
    ["1/2", "0.5", ".5", "2/4", r"\frac{1}{2}", r"\dfrac12", "½", "one half", r"\frac{-1}{-2}"],
    ["-1/2", r"-\frac{1}{2}", "-0.5", r"\frac{-1}{2}"],
    [r"1\frac{1}{2}", "1 1/2", "1.5", "3/2"],
    ["1/3", r"\frac13"],
    ["0.3333333333"],
    ["1.0000000001"],
    [r"\left( 1, 2 \right)", "(1,2)", "( 1,2 )"],
    ["(2,1)"],
    ["1,2", "1, 2"],
    ["12"],
    ["123"],
    [r"\tfrac{x}{2}", r"\frac{x}{2}", r"\frac x2"],
    ["x + 1", "x+1"],
    ["x-1"],
    ["X"],
    [r"\sqrt{2}", r"\sqrt2", "√2", "sqrt(2)"],
    [r"\pi", "π"],
    ["3.14"],
    ["25%", r"25\%"],
    ["25"],
    ["1/0"],
    ["0/0"],
    ["1/2/3"],
    ["--1"],
    ["east"],
    [""],
]
SAME = [pair for group in CLASSES for pair in combinations(group, 2)]
DIFFERENT = combinations([group[0] for group in CLASSES], 2)


@pytest.mark.parametrize(("first", "second"), SAME)
def test_spellings_share_a_key(first: str, second: str) -> None:
    assert answer_key(first) == answer_key(second)


def test_answers_have_keys_of_their_own() -> None:
    assert [pair for pair in DIFFERENT if answer_key(pair[0]) == answer_key(pair[1])] == []


def test_the_grader_takes_answers_with_one_key_for_equal() -> None:
    assert [pair for pair in SAME if not same(*pair)] == []


def test_a_currency_or_a_counted_thing_beside_a_number_does_not_count() -> None:
    texts = ("5 dollars", "5 euros", "5 eggs per week", "5 dollars per hour", "5 eggs per day.")
    assert {answer_key(text) for text in texts} == {answer_key("5")}
    assert answer_key("x dollars") != answer_key("x")


def test_a_unit_of_another_size_counts() -> None:
    texts = ("5", "5 cents", "5 cm", "5 km per hour", "5 miles per hour", "5 square feet per hour")
    scales = ("5 dozen per day", "5 million per year")
    assert len({answer_key(text) for text in texts + scales}) == len(texts + scales)


def test_no_algebra_is_done() -> None:
    assert answer_key("1 + x") != answer_key("x + 1")
    assert answer_key("2 + 2") != answer_key("4")


def test_text_cannot_pass_for_a_number() -> None:
    assert len({answer_key(text) for text in ("11", "=11", "1 1", "1_1", "11i", "11?1")}) == 6


LONG = {
    "digits": "9" * 1_000_000,
    "fractions": r"\frac" * 100_000,
    "open braces": "{" * 500_000,
    "roots": "sqrt(" * 100_000,
    "just short enough": "sqrt(" * 199,
    "short fractions": r"\frac" * 199,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_keys_of_long_answers_are_quick_and_differ(text: str) -> None:
    start = time.process_time()
    assert answer_key(text) == answer_key(text)
    assert answer_key(text) != answer_key(text + "1")
    assert time.process_time() - start < 1
