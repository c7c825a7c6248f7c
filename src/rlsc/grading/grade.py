"""Compare an extracted answer with a reference: by number where both are, else by text."""

from __future__ import annotations

import re
from fractions import Fraction

from rlsc.grading.extract import extract_answer
from rlsc.types import Verdict

# Longer digit strings are compared as text: parsing them costs quadratic time.
_MAX_DIGITS = 1000
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:/(\d+))?")
_FRACTION = re.compile(r"([+-]?)\\frac\{(-?\d+)\}\{(-?\d+)\}")


def grade(response: str, reference: str) -> Verdict:
    """Whether the response's final answer is the reference; UNPARSED if it has no answer.

    Of a reference with a worked solution, as GSM8K's, what follows #### counts.
    """
    reference = reference.rpartition("####")[2].strip()
    answer = extract_answer(response)
    if answer is None:
        return Verdict.UNPARSED
    return Verdict.CORRECT if same_answer(answer, reference) else Verdict.WRONG


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are one value (1/2 = 0.5, 1,000 = 1000) or, spaces aside, one text."""
    first_number, second_number = _number(first), _number(second)
    if first_number is not None and second_number is not None:
        return first_number == second_number
    return _plain(first) == _plain(second)


def answer_key(answer: str) -> str:
    """A canonical form: two answers are the same exactly when their keys are equal."""
    number = _number(answer)
    # No text has a space in its plain form, so no text looks like a number's key.
    return f" {number}" if number is not None else _plain(answer)


def _plain(text: str) -> str:
    text = re.sub(r"\\(?:left|right|[!,;: ])", "", text)
    text = re.sub(r"\s+", "", text.replace("$", "").replace("−", "-"))
    return text.rstrip(".").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def _number(text: str) -> Fraction | None:
    plain = _plain(text)
    if len(plain) > _MAX_DIGITS:
        return None
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    match = _FRACTION.fullmatch(plain) or _DECIMAL.fullmatch(plain)
    if match is None:
        return None
    sign, numerator, denominator = match.groups()
    try:
        return Fraction(f"{sign}1") * Fraction(numerator) / Fraction(denominator or 1)
    except ZeroDivisionError:
        return None
