"""Multiple choice: by letter, by the text of an option, by its value; two letters are no choice."""

from __future__ import annotations

import time

import pytest

from rlsc.grading.extract.choice import extract_choice
from rlsc.grading.judge import judge
from rlsc.types import Verdict

NUMBERS = ["12", "15", "18", "21"]
STARS = ["a red giant", "a white dwarf", "a black hole", "a neutron star"]
FRACTIONS = ["0.5", "0.25", "2", "4"]
TRENDS = ["increases", "decreases", "stays the same", "increases then decreases"]
FORMULAS = ["$x+1$", "$x-1$", "$x^2$", "None of the above"]

LETTERS = [
    ("B", "B"),
    ("b", "B"),
    ("(B)", "B"),
    ("B.", "B"),
    ("B)", "B"),
    ("**B**", "B"),
    ("$B$", "B"),
    ("B. 15", "B"),
    ("(B) 15", "B"),
    ("B: 15", "B"),
    (r"\boxed{B}", "B"),
    (r"\boxed{b}", "B"),
    (r"\boxed{(B)}", "B"),
    (r"\boxed{\text{B}}", "B"),
    (r"\boxed{B. 15}", "B"),
    (r"\boxed{\textbf{(B)}\ 15}", "B"),
    (r"The answer is $\boxed{\text{(C) } 18}$.", "C"),
    (r"\boxed{C} 18", "C"),
    ("The answer is B.", "B"),
    ("The answer is (B).", "B"),
    ("The answer is B. 15", "B"),
    ("The answer is: B) 15", "B"),
    ("The answer is **B**.", "B"),
    ("The answer is\n\nB", "B"),
    ("The correct answer is option B.", "B"),
    ("Answer: B", "B"),
    ("**Answer:** B", "B"),
    ("**Answer: B**", "B"),
    ("Answer: (B) 15", "B"),
    ("I would choose B.", "B"),
    ("Hence the best choice is (C) 18.", "C"),
    ("So the correct choice would be C.", "C"),
    ("The answer is A) 12 because B) 15 is too large.", "A"),
    ("C. 18\n\nExplanation: A is too small.", "C"),
    ("#### B", "B"),
    ("<answer>B</answer>", "B"),
    # The last statement counts, and only the response's own words.
    ("The answer is A. No, wait: the answer is B.", "B"),
    ("A is wrong, so the answer is D", "D"),
    ("Both A and B are right, so the answer is D.", "D"),
    ("Option A has 12. Option B has 15. So the answer is C.", "C"),
    ("A: no\nB: no\nC: yes, the answer is C", "C"),
    ("<think>The answer is A</think>B", "B"),
    ("Answer: B\n\nQuestion: next?\nAnswer: A", "B"),
    # Two letters are an answer, and never the one that was asked for.
    (r"\boxed{A and B}", "A and B"),
    (r"\boxed{A}, \boxed{B}", "A, B"),
    ("The answers are A and B.", "A and B"),
    ("The answer is A or B.", "A and B"),
    # No choice.
    ("", None),
    ("I do not know.", None),
    ("I like A Level mathematics", None),
    ("A is not the answer.", None),
    (r"\boxed{AB}", None),
]


@pytest.mark.parametrize(("response", "letter"), LETTERS)
def test_letters(response: str, letter: str | None) -> None:
    assert extract_choice(response, NUMBERS) == letter
    assert extract_choice(response) == letter


TEXTS = [
    (r"\boxed{15}", NUMBERS, "B"),
    ("15", NUMBERS, "B"),
    ("The answer is 15.", NUMBERS, "B"),
    ("So the result is 15.", NUMBERS, "B"),
    (r"\boxed{16}", NUMBERS, None),
    (r"\boxed{\frac12}", FRACTIONS, "A"),
    (r"\boxed{25\%}", FRACTIONS, "B"),
    (r"\boxed{3}", FRACTIONS, None),
    ("a white dwarf", STARS, "B"),
    ("Neutron star", STARS, "D"),
    ("The answer is a white dwarf.", STARS, "B"),
    # An article is no letter.
    ("A white dwarf", STARS, "B"),
    ("A black hole.", STARS, "C"),
    ("A star like this is a neutron star.", STARS, "D"),
    # The whole of an option, not the start or end of another.
    ("It decreases.", TRENDS, "B"),
    ("The answer is increases then decreases", TRENDS, "D"),
    (r"\boxed{x+1}", FORMULAS, "A"),
    (r"\boxed{1+x}", FORMULAS, "A"),
    ("The answer is None of the above.", FORMULAS, "D"),
]


@pytest.mark.parametrize(("response", "choices", "letter"), TEXTS)
def test_option_texts(response: str, choices: list[str], letter: str | None) -> None:
    answer, verdict = judge(response, letter or "A", "choice", choices)
    assert answer == letter
    assert verdict is (Verdict.CORRECT if letter else Verdict.UNPARSED)


def test_without_options_their_text_is_no_choice() -> None:
    assert judge(r"\boxed{15}", "B", "choice") == (None, Verdict.UNPARSED)
    assert judge(r"\boxed{B}", "B", "choice") == ("B", Verdict.CORRECT)


@pytest.mark.parametrize("reference", ["B", "(B)", "b", " B "])
def test_spellings_of_the_reference(reference: str) -> None:
    assert judge("The answer is B.", reference, "choice", NUMBERS)[1] is Verdict.CORRECT
    assert judge("The answer is A.", reference, "choice", NUMBERS)[1] is Verdict.WRONG


@pytest.mark.parametrize("response", [r"\boxed{A and B}", r"\boxed{A, B}", "The answer is A or B."])
@pytest.mark.parametrize("reference", "ABCD")
def test_two_letters_are_never_right(response: str, reference: str) -> None:
    assert judge(response, reference, "choice", NUMBERS)[1] is not Verdict.CORRECT


def test_options_of_one_text_are_not_told_apart() -> None:
    choices = ["5", "7", "7", "9"]
    assert judge("B", "B", "choice", choices)[1] is Verdict.CORRECT
    assert judge(r"\boxed{7.0}", "B", "choice", choices) == (None, Verdict.UNPARSED)


def test_many_lists_of_wrong_options_are_read_quickly() -> None:
    start = time.process_time()
    assert extract_choice("incorrect options:\n" * 20_000) is None
    assert time.process_time() - start < 2
