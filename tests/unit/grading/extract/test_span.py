"""Where the answer stands in a completion."""

from __future__ import annotations

import pytest

from rlsc.grading import answer_span

CASES = [
    ("3 + 8 = 11, so the answer is 11.", "11", 29),
    (r"So \boxed{ 12 }. 12 indeed", "12", 11),
    ("The answer is 1.5. Then 15 more.", "1.5", 14),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", 7),
    ("So the answer is **42**.\n\nCheck: 42 fits", "42", 19),
    ("115 of 15 and 5: the answer is 5", "5", 31),
    ("x = 5", "5", 4),
    ("it is -3", "-3", 6),
    ("<think>It is 7.</think>The answer is 7.", "7", 37),
]


@pytest.mark.parametrize(("text", "answer", "start"), CASES, ids=[case[0] for case in CASES])
def test_the_last_place_where_the_answer_stands(text: str, answer: str, start: int) -> None:
    assert answer_span(text) == (start, start + len(answer))
    assert text[start : start + len(answer)] == answer


@pytest.mark.parametrize(
    "text", ["", "I cannot tell.", "<think>It is 7", r"A: 5 \boxed{5}, \boxed{7}"]
)
def test_what_does_not_stand_there_has_no_place(text: str) -> None:
    assert answer_span(text) is None
