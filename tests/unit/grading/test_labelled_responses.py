"""Whole responses with the verdict they should have, half of them near-misses.

`labelled_responses.txt`, `labelled_fresh.txt`, `labelled_benchmarks.txt` and `labelled_suite.txt`
were written without sight of the grader; `labelled_kinds.txt` with it, to have near-misses beside
every kind that was mended for them.
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
    "Since x = 5, we get 2x = 10.",  # or is it x that was asked for?
    "Tim is 11 years old now, and in 4 years he will be 15.",
)
"""What needs the question: which number is no answer, or which of two was asked for."""
FRESH = list(labelled("labelled_responses.txt"))
KINDS = list(labelled("labelled_kinds.txt"))
WHOLE = {
    category: list(cases)
    for name in ("labelled_fresh.txt", "labelled_benchmarks.txt", "labelled_suite.txt")
    for category, cases in groupby(labelled(name), lambda case: case.category)
}


@pytest.mark.parametrize("case", FRESH + KINDS, ids=lambda case: f"{case.category}: {case.line}")
def test_labelled_responses(case: Labelled) -> None:
    verdict = judge(case.response, case.reference, case.kind, case.choices)[1]
    if case.response in MISSED:
        assert verdict is not case.verdict, "no longer missed: take it out of the list"
    else:
        assert verdict is case.verdict


@pytest.mark.parametrize("category", WHOLE)
def test_labelled_fresh(category: str) -> None:
    verdicts = {
        case.line: judge(case.response, case.reference, case.kind, case.choices)[1]
        for case in WHOLE[category]
    }
    missed = {case.line for case in WHOLE[category] if case.response in MISSED and right(case)}
    expected = {case.line: case.verdict for case in WHOLE[category] if case.line not in missed}
    assert verdicts == expected | dict.fromkeys(missed, Verdict.WRONG)


def right(case: Labelled) -> bool:
    return case.verdict is Verdict.CORRECT


def test_near_misses_are_as_many() -> None:
    suites = (list(labelled(f"labelled_{name}.txt")) for name in ("benchmarks", "suite"))
    for cases in (FRESH, KINDS, *suites):
        correct = sum(map(right, cases))
        assert correct <= 1.05 * (len(cases) - correct)
