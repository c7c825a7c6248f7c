"""Answers that look right and are not: each was once graded correct."""

from __future__ import annotations

import pytest

from rlsc.grading.judge import judge
from rlsc.types import Verdict
from tests.unit.grading.grading_table import pairs, verdict_of

NEAR_MISSES = r"""
# near miss
2^{1009} ≢ 2^{1009}+1
2^{101}-1 ≢ 2^{101}
3^{100}+1 ≢ 3^{100}-1
\frac{100!}{2^{50}} ≢ \frac{100!}{2^{50}}+1
10^{60}+1 ≢ 10^{60}
\frac{6.6 \times 10^{-34}}{2\pi} ≢ \frac{6.6 \times 10^{-34}}{\pi}
2\pi \times 10^{-32} ≢ 3\pi \times 10^{-32}
\left(\frac12\right)^{100} ≢ \left(\frac12\right)^{101}
1 - 2^{-110} ≢ 1
e^{-100} ≢ e^{-101}
10^{-34} x ≢ 10^{-35} x
5! ≢ 5
7 ≢ 7!
45^\circ ≢ 45'
5' ≢ 5''
\sin 30^\circ ≢ \sin 30
\tan 45^\circ ≢ \tan 45
5 ≢ 5 \text{ million}
5 \text{ million} ≢ 5
5 \text{ million} ≢ 5 \text{ billion}
5 ≢ 5 \text{ thousand}
5 ≢ 5 \text{ hundred}
5 ≢ 5 \text{ dozen}
5 ≢ 5 \text{ percent squared}
5 ≢ 5 \text{ or more}
5 ≢ 5 \text{ and a half}
5 ≢ 5 \text{ factorial}
5 ≢ 5 \text{ squared}
5 \text{ feet } 3 \text{ inches} ≢ 3 \text{ feet } 5 \text{ inches}
3 \text{ PM} ≢ 3 \text{ AM}
12:30 \text{ PM} ≢ 12:30 \text{ AM}
40 \text{ km north} ≢ 40 \text{ km south}
3 \text{ m left} ≢ 3 \text{ m right}
5 \text{ boys}, 6 \text{ girls} ≢ 6 \text{ boys}, 5 \text{ girls}
x=1, y=2 ≢ x=2, y=1
a=3, b=5 ≢ a=5, b=3
x=2, y=1 ≢ (1, 2)
x=1, y=2 ≢ 2, 1
16, 3, 1, 1 ≢ 16, 3, 1
1, 1, 2 ≢ 1, 2
(2,12) \cup (12,102) ≢ (2,12) \cup (12,102), 97
2:3:5 ≢ 2:5:3
2 \text{ to } 3 ≢ 3 \text{ to } 2
\{x \mid x > 2\} ≢ \{x \mid x < 2\}
\{x \mid x > 2\} ≢ \{x \mid x \ge 2\}
\{x \mid x > 2\} ≢ 2
x>1 \text{ and } x<2 ≢ x>1 \text{ or } x<2
\lfloor x \rfloor ≢ x
\lfloor x \rfloor ≢ \lceil x \rceil
f^{-1}(x) ≢ \frac{1}{f(x)}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} ≢ [1, 2)
\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix} ≢ \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
\nabla \cdot F ≢ \nabla \times F
2n \text{ if } n \text{ is even} ≢ 2n \text{ if } n \text{ is odd}
\angle ABC ≢ \angle BAC
\text{BAC} ≢ \text{ABC}
5 ≢ -x = 5
5 ≢ \frac1x = 5
f(n)=n ≢ f(m)=n
"""

PROSE = (
    ("The answer is not 5.", "5"),
    ("It is not 5.", "5"),
    ("The answer is either 2 or 3.", "2"),
    ("It is 2 or maybe 3.", "3"),
    ("The answer is 3 apples and 4 pears.", "3"),
    (r"The answer is $\boxed{5}$ and not $\boxed{6}$.", "6"),
)
OPTIONS = ["12", "15", "18", "21"]
CHOICES = (
    ("The answer is not A.", "A", OPTIONS),
    ("It is not A.", "A", OPTIONS),
    ("Vitamin B", "B", OPTIONS),
    ("A, B, C, D", "D", OPTIONS),
    ("A. 12\nB. 15\nC. 18\nD. 21", "D", OPTIONS),
    ("The answer is 1/4.", "D", ["0.5", "0.25", "2", "4"]),
    ("I get -5", "A", ["5", "10", "20", "40"]),
    ("The answer is Bb × Bb", "A", ["bb × bb", "Bb × Bb", "Bb × bb", "BB × Bb"]),
)


@pytest.mark.parametrize(("reference", "answer", "verdict"), pairs(NEAR_MISSES))
def test_near_misses(reference: str, answer: str, verdict: Verdict) -> None:
    assert verdict_of(answer, reference) is verdict


@pytest.mark.parametrize(("response", "reference"), PROSE)
def test_prose_that_does_not_say_so(response: str, reference: str) -> None:
    assert judge(response, reference)[1] is not Verdict.CORRECT


@pytest.mark.parametrize(("response", "letter", "options"), CHOICES)
def test_letters_that_are_not_chosen(response: str, letter: str, options: list[str]) -> None:
    assert judge(response, letter, "choice", options)[1] is not Verdict.CORRECT


def test_two_answers_within_the_tolerance_are_two() -> None:
    assert judge(r"\boxed{100, 101}", "100", "numeric")[1] is Verdict.WRONG
