r"""Exemplars of the `few-shot` template, written for it; none is from a benchmark."""

from __future__ import annotations

from typing import NamedTuple


class Exemplar(NamedTuple):
    """A question with a worked answer that ends on a box."""

    question: str
    answer: str


_MATH = (
    Exemplar(
        "A gardener plants 6 rows of 14 tulips and then removes 9 that are sick. "
        "How many tulips are left?",
        "The rows hold 6 \\cdot 14 = 84 tulips. Without the 9 sick ones, 84 - 9 = 75 are left. "
        "The final answer is \\boxed{75}.",
    ),
    Exemplar(
        "Solve $2x^2 - 5x - 3 = 0$.",
        "The product (2x + 1)(x - 3) expands to 2x^2 - 5x - 3, so either 2x + 1 = 0 or x = 3. "
        "The final answer is \\boxed{-\\frac{1}{2}, 3}.",
    ),
    Exemplar(
        "Two fair coins and one fair die are thrown. What is the probability of two heads and "
        "an even number?",
        "The three events are independent: \\frac{1}{2} \\cdot \\frac{1}{2} \\cdot \\frac{1}{2} "
        "= \\frac{1}{8}. The final answer is \\boxed{\\frac{1}{8}}.",
    ),
    Exemplar(
        "For which real numbers $x$ is $\\sqrt{7 - x}$ defined?",
        "The root needs 7 - x \\ge 0, that is x \\le 7. "
        "The final answer is \\boxed{(-\\infty, 7]}.",
    ),
)
_NUMERIC = (
    Exemplar(
        "A stone falls freely for 3.0 s from rest, with g = 9.8 m/s^2. How far does it fall, in m?",
        "The distance is g t^2 / 2 = 9.8 \\cdot 9.0 / 2 = 44.1. The final answer is \\boxed{44.1}.",
    ),
    Exemplar(
        "What is the wavelength in m of light of frequency 5.0e14 Hz?",
        "\\lambda = c / f = 3.0e8 / 5.0e14 = 6.0e-7. The final answer is \\boxed{6.0e-7}.",
    ),
    *_MATH[1:3],
)
_CHOICE = (
    Exemplar(
        "Which of these is a prime number?\n\nA. 21\nB. 27\nC. 29\nD. 33",
        "21, 27 and 33 are divisible by 3, and 29 has no divisor but 1 and itself. "
        "The final answer is \\boxed{C}.",
    ),
    Exemplar(
        "What does a plant mainly take from the air for photosynthesis?\n\n"
        "A. Carbon dioxide\nB. Oxygen\nC. Nitrogen\nD. Argon",
        "Photosynthesis builds sugar from carbon dioxide and water. "
        "The final answer is \\boxed{A}.",
    ),
    Exemplar(
        "A car drives 150 km in 2.5 h. What is its mean speed?\n\n"
        "A. 50 km/h\nB. 55 km/h\nC. 75 km/h\nD. 60 km/h",
        "150 / 2.5 = 60, so the mean speed is 60 km/h. The final answer is \\boxed{D}.",
    ),
    Exemplar(
        "Which sorting method compares only neighbours?\n\n"
        "A. Merge sort\nB. Bubble sort\nC. Heap sort\nD. Quicksort",
        "Bubble sort swaps neighbours that are out of order. The final answer is \\boxed{B}.",
    ),
)
_BY_KIND = {"math": _MATH, "numeric": _NUMERIC, "choice": _CHOICE}


def exemplars(kind: str, count: int) -> tuple[Exemplar, ...]:
    """The first `count` exemplars, at most `MOST_SHOTS`, for answers of `kind`.

    There are none for Python's kinds, whose questions say how they are to be answered.
    """
    return _BY_KIND.get(kind, ())[:count]
