"""From a completion to its answer, and from whole responses to verdicts."""

from __future__ import annotations

import time

import pytest

from rlsc.grading import after_prompt, extract_answer
from rlsc.grading.judge import judge
from rlsc.types import Verdict

EXTRACT = [
    # The last box wins over anything else.
    (r"\boxed{11}", "11"),
    (r"So \boxed{11}, as 3 + 8 is not 12.", "11"),
    (r"\boxed {11}", "11"),
    (r"\boxed{ 11 }", "11"),
    ("\\[\n\\boxed{\n12\n}\n\\]", "12"),
    (r"$$\boxed{(3, \infty)}$$", r"(3, \infty)"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\text{no}}", r"\text{no}"),
    (r"\boxed{x \in \{1, 2\}}", r"x \in \{1, 2\}"),
    (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
    (r"\boxed{\sqrt{\frac{a}{b}}} because", r"\sqrt{\frac{a}{b}}"),
    (r"The answer is 5. \boxed{6}", "6"),
    (r"\boxed{6}. The answer is 5.", "6"),
    ("#### 5\nso \\boxed{6}", "6"),
    # Several boxes: those that stand together are one answer.
    (r"First \boxed{3}, but I made a slip. Hence \boxed{4}.", "4"),
    (r"The cases give \boxed{1}. In the second case we get \boxed{2}.", "2"),
    (r"\boxed{1} or \boxed{2}", "1, 2"),
    (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
    (r"$x = \boxed{1}$ and $x = \boxed{2}$", "1, 2"),
    # Boxes without content, or without an end.
    (r"5, so \boxed{}", "5"),
    (r"\boxed{7}\boxed{}", "7"),
    (r"\boxed{1} and \boxed{", "1"),
    (r"\boxed{7", None),  # cut off: 7 may go on
    (r"The answer is \boxed{\frac{3}{4", None),
    (r"So $\boxed{7$.", "7"),  # the brace alone is missing
    (r"So \boxed{7 is the answer", "7"),
    (r"\boxed 7", "7"),
    # Marks.
    ("3 + 8 = 11\n#### 11", "11"),
    ("#### 1,234", "1,234"),
    ("#### x = 5", "5"),
    ("#### 11\n#### 12", "12"),
    ("####", None),
    ("<answer>42</answer>", "42"),
    ("<think>It is 3.</think><answer> 42 </answer>", "42"),
    ("That is hard.\nA: 42", "42"),
    ("**Ans**: 42", "42"),
    # What is stated.
    ("The answer is 11.", "11"),
    ("the answer is: 11", "11"),
    ("The final answer is $\\frac{1}{2}$.", r"\frac{1}{2}"),
    ("Therefore, the final answer is: $\\boxed{24}$. I hope it is correct.", "24"),
    ("The answer is 11, not 12.", "11"),
    ("The answer is 11 because 3 + 8 = 11 and 12 is too large.", "11"),
    ("The answer is 3. No, wait. The answer is 4.", "4"),
    ("The answer to the question is 9.", "9"),
    ("**Answer:** 11", "11"),
    ("**Answer: 11**", "11"),
    ("Answer: x = 11", "11"),
    ("Answer:\n11", "11"),
    ("The answers are 3 and 4.", "3 and 4"),
    ("The answer is $3$, $4$, or $5$.", "3, 4, 5"),
    ("The answer is (2, 3].", "(2, 3]"),
    ("The answer is −5.", "-5"),
    ("The answer is 1,000.", "1,000"),
    ("The answer is 25%.", "25%"),
    ("The answer is 5 cm.", "5 cm"),
    ("The answer is east.", "east"),
    ("The answer is the ellipse.", "ellipse"),
    ("The answer is yes, since 4 is even.", "yes"),
    ("The solution is x = -2.", "-2"),
    # Nothing but an answer.
    ("11", "11"),
    ("11.", "11"),
    ("**11**", "11"),
    ("`11`", "11"),
    ("$11$", "11"),
    ("\\[11\\]", "11"),
    ("x=-3", "-3"),
    ("3 + 8 = 11", "11"),
    ("(2, 3]", "(2, 3]"),
    ("1/2", "1/2"),
    ("(-3)", "(-3)"),
    ("007", "007"),
    ("1, 2, 3", "1, 2, 3"),
    ("It is 10%.", "10%"),
    ("east", "east"),
    ("eleven", "eleven"),
    ("½", "½"),
    ("y = 2x + 1", "2x + 1"),
    ("x^2 + y^2 = 4", "x^2 + y^2 = 4"),
    # The last formula, bold passage or number.
    ("We add them and get $11$.", "11"),
    ("We add them and get **11**.", "11"),
    ("So we get $3 + 8 = 11$.", "11"),
    ("It costs $5", "5"),
    ("She pays 5 dollars in all.", "5 dollars"),
    ("1,234,567.89 in all", "1,234,567.89"),
    ("first there were two, 2, then three, 3\n", "3"),
    ("page-3", "3"),
    ("There are 12 apples left after 3 days.", "12"),
    ("He walked 6 miles in 2 hours.", "6"),
    ("So twelve of them went, thirteen stayed.", "thirteen"),
    # Two values that belong together.
    ("The smallest is 3 and the largest is 8.", "3, 8"),
    ("So x = 1 or x = -2.", "x = 1 or x = -2"),
    ("Hence the roots are 3 and 4.", "3 and 4"),
    # No answer.
    ("", None),
    (" \n", None),
    ("-", None),
    ("...", None),
    ("$$$$", None),
    ("I do not know.", None),
    ("I do not know the answer.", None),
    ("The answer is not known.", None),
    ("Let us think step by step.", None),
    ("Sorry, I cannot help with that.", None),
    # What the model thought, asked itself or added.
    ("The answer is 3.\n\nQuestion: What is 5 + 5?\nThe answer is 10.", "3"),
    ("\\boxed{3}\nProblem: 5 + 5?\n\\boxed{10}", "3"),
    ("\\boxed{3}<|im_end|>\\boxed{10}", "3"),
    ("\\boxed{3}<|endoftext|>\\boxed{10}", "3"),
    ("The answer is 3.\n\nHuman: and 5 + 5?\n\nThe answer is 10.", "3"),
    ("Question: what is asked?\nThe answer is 3.", "3"),
    ("<think>\\boxed{9}</think>The answer is 3.", "3"),
    ("<think>So \\boxed{9}</think>", "9"),
    ("<think>It may be \\boxed{9} or", None),  # a thought that has no end yet
    ("The answer is 3.\nVerification: 3 + 4 = 7", "3"),
    ("The answer is 3.\n**Check:** 3 + 4 = 7", "3"),
]


@pytest.mark.parametrize(("text", "answer"), EXTRACT)
def test_extract_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize("tag", ["<think>", "<thinking>", "[THINK]", "<|begin_of_thought|>"])
def test_a_thought_that_the_prompt_opens_has_to_be_closed(tag: str) -> None:
    prompt = f"3 + 8 = ?<|assistant|>{tag}\n"
    close = {"[THINK]": "[/THINK]", "<|begin_of_thought|>": "<|end_of_thought|>"}.get(
        tag, f"</{tag[1:]}"
    )
    assert extract_answer(after_prompt(prompt, "So 3 + 8 is 11. Or is it 12")) is None
    assert extract_answer(after_prompt(prompt, "It is \\boxed{11}")) is None
    assert extract_answer(after_prompt(prompt, f"Or 12?{close}It is 11.")) == "11"
    # A template that opens and closes it, and a question that speaks of the tag.
    for other in (f"{prompt}\n{close}\n\n", f"What does {tag} mean?<|assistant|>"):
        assert after_prompt(other, "It is 11.") == "It is 11."


CORRECT = [
    ("Step 1: 3 apples at $2 each cost $6.\nStep 2: add $4.\nTotal: $10", "10"),
    ("She has 3 left, so the answer is 3 apples.", "3"),
    ("So 40% of 50 is 20.", "20"),
    ("The area is $25\\pi$ square units.", r"25\pi"),
    ("The probability is $\\frac{3}{8}$, so $m+n = 3 + 8 = 11$.", "11"),
    ("The final answer is 7. Let me double check: 3 + 5 = 8.", "7"),
    ("Answer: (2, 3)", "(2,3)"),
    ("The solutions are $x=2$ and $x=3$.", "2, 3"),
    ("So $x=2$ or $x=3$. But $x$ must be odd, so $x=3$.", "3"),
    ("Hence the roots are $3$ and $4$.", "3, 4"),
    ("\\boxed{2} \\text{ and } \\boxed{3}", "2, 3"),
    ("Final answer:\n\n$$x = 5$$", "5"),
    ("### Final Answer\n**42**", "42"),
    ("Hence x < 5 or x > 7.", r"(-\infty,5)\cup(7,\infty)"),
    ("The answer is [2, 3).", "[2,3)"),
    ("the total comes to 1,250 dollars.", "1250"),
    ("Total = $12.50.", "12.5"),
    ("The answer is $18.", "18"),
    ("It costs \\$5.", "5"),
    ("He needs twenty-five cards.", "25"),
    ("So the value is - 4", "-4"),
    ("There are 17 ways to do it in 4 steps.", "17"),
    ("Out of the 30 students, 17 passed.", "17"),
    ("The ratio is 3:4.", "3:4"),
    ("the answer is 2 1/2.", "2.5"),
    ("The sum is 3+5i.", "3+5i"),
    ("So it is 6 × 10^4 J", "60000"),
    ("$\\boxed{5}$ cm", "5"),
    ("\\boxed{5} is wrong, so \\boxed{6}", "6"),
    ("The answer is\n$$\n\\frac{a}{b}\n$$", r"\frac{a}{b}"),
    ("The answer is 5 when x = 3.", "5"),
    ("The answer is no solution.", r"\text{no solution}"),
    ("#### 5\n\nSome more words with 7 in it.", "5"),
]
WRONG = [
    ("Step 1: 3 apples at $2 each cost $6.\nStep 2: add $4.\nTotal: $10", "6"),
    ("So 40% of 50 is 20.", "50"),
    ("The area is $25\\pi$ square units.", "25"),
    ("The probability is $\\frac{3}{8}$, so $m+n = 3 + 8 = 11$.", r"\frac38"),
    ("The answer is approximately 3.14.", r"\pi"),
    ("The solutions are $x=2$ and $x=3$.", "3"),
    ("So $x=2$ or $x=3$.", "3"),
    ("\\boxed{2} \\text{ and } \\boxed{3}", "3"),
    ("The answer is either \\boxed{2} or \\boxed{3}.", "3"),
    ("The answer is either 2 or 3.", "3"),
    ("The answer is [2, 3).", "[2,3]"),
    ("the total comes to 1,250 dollars.", "250"),
    ("So the value is -4", "4"),
    ("The ratio is 3:4.", "4"),
    ("The time is 3:45.", "45"),
    ("The sum is 3+5i.", "5"),
    ("So it is 6 × 10^4 J", "4"),
    ("12 3", "3"),
]


@pytest.mark.parametrize(
    ("response", "reference", "verdict"),
    [(*pair, "correct") for pair in CORRECT] + [(*pair, "wrong") for pair in WRONG],
)
def test_responses(response: str, reference: str, verdict: str) -> None:
    assert judge(response, reference)[1].value == verdict


@pytest.mark.parametrize("text", [text for text, answer in EXTRACT if answer is None])
def test_no_answer_is_unparsed(text: str) -> None:
    assert judge(text, "11") == (None, Verdict.UNPARSED)


LONG = {
    "one unclosed box": r"\boxed{" + "x" * 1_000_000,
    "unclosed boxes": r"\boxed{" * 100_000,
    "nested boxes": r"\boxed{" * 50_000 + "}" * 50_000,
    "closed boxes": r"\boxed{1} " * 50_000,
    "prose": "lorem ipsum " * 90_000,
    "minus signs": "-" * 1_000_000,
    "dollars": "$" * 500_000,
    "numbers": "1 " * 300_000,
    "fractions": "1/" * 300_000,
    "formulas": "$1$ and " * 50_000,
    "bold": "**a" * 200_000,
    "statements": "The answer is " * 50_000,
    "thoughts": "</think>" * 50_000,
    "thoughts without an end": "<think>" * 50_000,
    "derivations": r"\begin{align} x \\ " * 50_000,
    "headings": "#### Part\n" * 50_000,
    "checks": "\n### Check\n" * 50_000,
    "tasks": "Let x be so, " * 50_000,
    "questions": "Is it 1? " * 50_000,
    "next questions": "\nQuestion: " * 50_000,
    "calculator": "<<1" * 50_000,
    "last checks": "\nLet's check: " * 20_000 + "correct.",
    "excuses": "Sorry, wait, I made a mistake. " * 10_000,
    "waits": "It is 1. Wait, 2 * 3 = 6 " * 10_000,
    "underscores": "_ _" * 50_000,
    "full stops": ".\n" * 50_000,
    "bold passages": "**6 eggs " * 20_000,
    "validity": "$a_n = 2$, for $n > " * 10_000,
    "open boxes": r"\boxed{\frac" * 20_000,
    "a cut-off box": r"\boxed{" + "\n1 " * 50_000,
    "bold in a box": r"\boxed{" + r"\mathbf{" * 10_000 + "}" * 10_001,
    "connectives": "1或" * 50_000,
    "digits before a scale": "1" * 100_000 + "万",
    "answers elsewhere": "答:1 Antwort " * 20_000,
    "parts": "is 1/8 of " * 30_000,
    "calls": "abs(" * 50_000,
    "despair": "I could not " * 20_000,
    "computations": "1 egg (2 × 3 × " * 20_000,
    "sums in brackets": "#### (" + "(2) = 3 = " * 20_000 + ")",
    "many factors": "6 eggs (" + "2 × " * 50_000,
    "reasons": "x = 5, since 2 " * 20_000,
    "bounds": "1 < 2 < " * 30_000,
    "numbers in words": "five hundred and " * 20_000,
    "rates": "3 red eggs per " * 20_000,
    "long answers": "Long answer: " * 20_000,
    "corrections": "7, or rather " * 20_000,
    "corrections, not made": "7 a b, no, (" * 20_000,
    "remarks": "It is 5. This agrees with the formula. " * 20_000,
    "brackets behind an answer": "The answer (in " * 20_000,
    "figures": "so the graph of the " * 20_000 + "is a circle.",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_extraction_is_linear(text: str) -> None:
    """CPU seconds, so that a busy machine does not fail the test."""
    start = time.process_time()
    extract_answer(text)
    assert time.process_time() - start < 2
