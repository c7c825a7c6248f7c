"""Whole responses with the verdict they should have, half of them near-misses.

`labelled_responses.txt` and `labelled_fresh.txt` were written without sight of the grader;
`labelled_kinds.txt` with it, to have near-misses beside every kind that was mended for them.
"""

from __future__ import annotations

from itertools import groupby

import pytest

from rlsc.grading.judge import judge
from rlsc.types import Verdict
from tests.unit.grading.grading_table import Labelled, labelled

MISSED = (
    "Let's solve this problem step by step. Tom has 3 apples and buys 5.",  # facts alone
    "Problem: A square has perimeter 24. What is its area?\n"
    "Solution: The side is 6, and the area is 36.",
    "Short answer: 3\n\nLong answer: each of the 4 sides loses one, and 4 - 1 = 3.",
    "Yes. 3^2 + 4^2 = 5^2, so it is a right triangle.",  # "Yes. There are 5." answers 5
    "Anna is the tallest.",  # was it asked who?
    "The wavelength is about 1.2 μm.",  # a product of letters elsewhere
    "Correct Answer: C\nIncorrect Answers: A, B, D",
)
"""What needs the question: which number is no answer, or which of two was asked for."""
FRESH = list(labelled("labelled_responses.txt"))
KINDS = list(labelled("labelled_kinds.txt"))
SECOND = {
    category: list(cases)
    for category, cases in groupby(labelled("labelled_fresh.txt"), lambda case: case.category)
}


@pytest.mark.parametrize("case", FRESH + KINDS, ids=lambda case: f"{case.category}: {case.line}")
def test_labelled_responses(case: Labelled) -> None:
    verdict = judge(case.response, case.reference, case.kind, case.choices)[1]
    if case.response in MISSED:
        assert verdict is not case.verdict, "no longer missed: take it out of the list"
    else:
        assert verdict is case.verdict


@pytest.mark.parametrize("category", SECOND)
def test_labelled_fresh(category: str) -> None:
    verdicts = {
        case.line: judge(case.response, case.reference, case.kind, case.choices)[1]
        for case in SECOND[category]
    }
    assert verdicts == {case.line: case.verdict for case in SECOND[category]}


def test_near_misses_are_as_many() -> None:
    for cases in (FRESH, KINDS):
        right = sum(case.verdict is Verdict.CORRECT for case in cases)
        assert right <= 1.05 * (len(cases) - right)
