"""From text to answer to verdict: a table of cases, and text that means harm."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product

import pytest

from rlsc.grading import answer_key, extract_answer, grade, same_answer
from rlsc.types import Verdict

EXTRACT = [
    # The last number.
    ("3 + 8 = 11", "11"),
    ("3 + 8 = 11.", "11"),
    ("The answer is 11, not 12, but 13!", "13"),
    ("**11**", "11"),
    ("$11$", "11"),
    ("x=11", "11"),
    ("It costs $5", "5"),
    ("It is 10%", "10"),
    ("007", "007"),
    ("0.5", "0.5"),
    ("1/2", "1/2"),
    ("1,000", "1,000"),
    ("1,234,567.89 in all", "1,234,567.89"),
    ("1, 2, 3", "3"),
    ("two 2\nthen three 3\n", "3"),
    # Signs and subtractions.
    ("-5", "-5"),
    ("The answer is -5", "-5"),
    ("x=-3", "-3"),
    ("(-3)", "-3"),
    ("5-3", "3"),
    ("5 - 3", "3"),
    ("page-3", "3"),
    # No number.
    ("", None),
    (" \n", None),
    ("I do not know.", None),
    ("-", None),
    ("½ and ²", None),
    # The last box wins over any number.
    (r"\boxed{11}", "11"),
    (r"\boxed{11} as 3 + 8 is 12", "11"),
    (r"\boxed {11}", "11"),
    (r"\boxed{ 11 }", "11"),
    (r"\boxed{1} or \boxed{2}", "2"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\text{no}}", r"\text{no}"),
    (r"\boxed{x \in \{1, 2\}}", r"x \in \{1, 2\}"),
    (r"\boxed{a", None),
    (r"\boxed{7", "7"),
    (r"\boxed{1} and \boxed{", "1"),
    (r"\boxed{", None),
    (r"\boxed 7", "7"),
    (r"\boxed{}", None),
    (r"5, so \boxed{}", "5"),
    (r"\boxed{ }", None),
]


@pytest.mark.parametrize(("text", "answer"), EXTRACT)
def test_extract_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


SAME = [
    ("11", "11.0"),
    ("11", "011"),
    ("11", "11."),
    ("11", "$11$"),
    ("1000", "1,000"),
    ("0", "-0"),
    ("1/2", "0.5"),
    ("1/2", "2/4"),
    ("1/2", r"\frac{1}{2}"),
    ("1/2", r"\dfrac{2}{4}"),
    ("-1/2", r"-\frac{1}{2}"),
    ("-0.5", r"\frac{-1}{2}"),
    ("1/2", r"-\frac{-1}{2}"),
    (r"\left( 1, 2 \right)", "(1,2)"),
    (r"\tfrac{x}{2}", r"\frac{x}{2}"),
    ("x + 1", "x+1"),
    ("1/0", "1/0"),
    ("9" * 5_000, "9" * 5_000),
]
DIFFERENT = [
    ("11", "12"),
    ("11", "-11"),
    ("1.0000000001", "1"),
    ("1/3", "0.3333333333"),
    ("x", "X"),
    ("1/0", "0/0"),
    ("1/0", "0"),
    ("(1,2)", "(2,1)"),
    ("11", "eleven"),
    ("", "0"),
    ("9" * 5_000, "9" * 4_999),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_same_answer(first: str, second: str) -> None:
    assert same_answer(first, second)
    assert same_answer(second, first)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_different_answer(first: str, second: str) -> None:
    assert not same_answer(first, second)
    assert not same_answer(second, first)


GRID = sorted({text for pair in SAME + DIFFERENT for text in pair})


def disagreements(texts: list[str]) -> list[tuple[str, str]]:
    return [
        (a, b)
        for a, b in product(texts, repeat=2)
        if same_answer(a, b) != (answer_key(a) == answer_key(b))
    ]


def test_keys_are_equal_exactly_where_answers_are_the_same() -> None:
    assert disagreements([*GRID, "", ".", "$", " ", "٣", "3", "1e3", "1/2/3", "--1"]) == []


def test_an_equals_sign_does_not_confuse_the_keys() -> None:
    assert disagreements(["=11", "11", "=1/2", "0.5", "==11"]) == []


@pytest.mark.parametrize(("first", "second"), [("1,2", "12"), ("3, 4", "34")])
def test_a_list_of_numbers_is_not_one_number(first: str, second: str) -> None:
    assert not same_answer(first, second)


@pytest.mark.parametrize(
    ("response", "reference", "verdict"),
    [
        ("3 + 8 = 11", "11", Verdict.CORRECT),
        ("3 + 8 = 12", "11", Verdict.WRONG),
        ("eleven", "11", Verdict.UNPARSED),
        ("", "11", Verdict.UNPARSED),
        ("", "", Verdict.UNPARSED),
        (r"\boxed{0.50}", "1/2", Verdict.CORRECT),
        (r"\boxed{11} I checked 2 times", "11", Verdict.CORRECT),
        ("$1,000$", "1000", Verdict.CORRECT),
        ("5 - 3", "-3", Verdict.WRONG),
        (r"\boxed{x+1}", "x + 1", Verdict.CORRECT),
        ("It is 1/0", "5", Verdict.WRONG),
        ("11", "11 apples", Verdict.WRONG),
    ],
)
def test_grade(response: str, reference: str, verdict: Verdict) -> None:
    assert grade(response, reference) is verdict


HOSTILE = {
    "digits": ("1" * 100_000, Verdict.WRONG),
    "thousands": ("1,111" * 20_000, Verdict.WRONG),
    "fractions": ("1/" * 50_000, Verdict.WRONG),
    "minus signs": ("-" * 1_000_000, Verdict.UNPARSED),
    "prose": ("lorem ipsum " * 90_000, Verdict.UNPARSED),
    "one unclosed box": (r"\boxed{" + "x" * 1_000_000, Verdict.UNPARSED),
    "closed boxes": (r"\boxed{1}" * 20_000, Verdict.WRONG),
    "spaced boxes": ((r"\boxed" + " " * 1_000) * 1_000, Verdict.UNPARSED),
}
MANY_BOXES = {
    "unclosed": (r"\boxed{" * 1_500, Verdict.UNPARSED),
    "nested": (r"\boxed{" * 1_500 + "}" * 1_500, Verdict.WRONG),
}


@pytest.mark.parametrize(("text", "verdict"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_graded_quickly(text: str, verdict: Verdict) -> None:
    assert seconds(lambda: grade(text, "11") is verdict) < 1


@pytest.mark.parametrize(("text", "verdict"), MANY_BOXES.values(), ids=MANY_BOXES)
def test_many_unclosed_boxes_are_graded_quickly(text: str, verdict: Verdict) -> None:
    assert seconds(lambda: grade(text, "11") is verdict) < 0.2


def seconds(check: Callable[[], bool]) -> float:
    """CPU seconds, so that a busy machine does not fail the test."""
    start = time.process_time()
    assert check()
    return time.process_time() - start
