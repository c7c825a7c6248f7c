r"""A value that is called the final answer in so many words behind the last `\boxed{}`.

It counts instead of the box where nothing speaks against it; in doubt the box stays.
"""

from __future__ import annotations

import re

from rlsc.grading.extract.boxes import boxed
from rlsc.grading.extract.own_words import CONFIRMED
from rlsc.grading.extract.passages import clean, is_mathematics, last_match, right_side
from rlsc.grading.notation.normalise import normalise
from rlsc.grading.notation.numbers import number
from rlsc.grading.notation.units import is_unit_word, split_unit

_LONGEST = 20_000
_VALUE_READ = 600
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_SAYS = re.compile(
    r"\bfinal\s+answer(?P<says>\s+is|\s*:)[ \t]*[*_]{0,2}[ \t]*"
    r"(?:(?:therefore|thus|indeed|so)[ ,]+)?",
    re.IGNORECASE,
)
# Nothing but a value and its unit, so that "is 10 less than …" and "is approximately 7.07" leave
# the box; `1. 540` is a line of a list.
_VALUE = re.compile(
    r"(?:\$([^$\n]{1,200})\$|\\\(([^\n]{1,200}?)\\\)"
    r"|(-?[$＄€£]?\d[\d.,/]{0,30}(?<=\d)(?:\s?\\?%)?))"
    r"((?:[ \t][A-Za-z]{1,12}){0,2})[ \t]*[*_]{0,2}(?=[.!](?!\s+[-$＄\\\d(])(?:\s|$)|\n|\s*$)"
)
_SENTENCE = re.compile(r"[.!?;]\s|\n")
# A sentence that supposes, denies, tells what others say or how sure it is.
_DOUBTFUL = re.compile(
    r"\b(?:if|would|were|had|unless|suppose|assum\w+|might|could|wrong|wrongly|incorrect|mistake\w*"
    r"|confiden\w*|probability|certain|sure|students?|people|someone|some|many)\b",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?!(?:as|is|was|has|this|plus|minus|times|less|yes|its)$)[a-z]{2,}s")
_PEOPLE = {"people", "men", "women", "children"}
_UNIT_OUTSIDE = re.compile(
    r"(?:[^\n{}]|\{[^\n{}]*\}){1,120}\}[\s$]*(?:\\(?:text|mathrm)\s*\{\s*|\\[,; ]\s*)*"
    r"(?!in\b|a\b|as\b|at\b)([A-Za-z]+)"
)
_SEVERAL = re.compile(r",(?!\d{3}(?!\d))|;|:|\b(?:or|and)\b")


def final_answer(text: str) -> str | None:
    r"""`5` of `\boxed{4}. Actually the final answer is 5.`; None where the box stays."""
    box = last_match(_BOX, text)
    if box is None:
        return None
    rest = text[box.end() :][-_LONGEST:]
    for says in reversed(list(_SAYS.finditer(rest))):
        begun = max((cut.end() for cut in _SENTENCE.finditer(rest, 0, says.start())), default=0)
        if _DOUBTFUL.search(rest, begun, says.start()) or CONFIRMED.match(rest, says.end()):
            continue
        value = _value(rest, says)
        given = boxed(text)
        return None if value is None or (given and _keeps(given, rest, value)) else value
    return None


def _value(rest: str, says: re.Match[str]) -> str | None:
    said = _VALUE.match(rest, says.end())
    if said is None:
        return None
    words = said[4].split()
    formula = said[1] or said[2]
    if words and (said[3] or "").endswith("%"):
        return None  # "95% certain"
    if words and not (_is_unit(words[-1]) and (len(words) == 1 or is_unit_word(words[0]))):
        return None
    if formula is None:
        return f"{said[3]}{said[4]}"
    inside = clean(formula)
    if not is_mathematics(inside) or not re.search(r"\d|\\[a-z]", inside):
        return None
    return right_side(inside) + said[4]


def _is_unit(word: str) -> bool:
    return is_unit_word(word) or word in _PEOPLE or _COUNTED.fullmatch(word) is not None


def _keeps(given: str, rest: str, value: str) -> bool:
    """Whether a value says what the box has: again, rounded, converted, one of several."""
    said, inside = (normalise(text[:_VALUE_READ]) for text in (value, given))
    (said, unit), (inside, unit_inside) = split_unit(said), split_unit(inside)
    outside = _UNIT_OUTSIDE.match(rest)
    if unit and unit_inside is None and outside and is_unit_word(outside[1]):
        return said == inside or outside[1] not in value.split()
    if said == inside or (unit and unit_inside and unit != unit_inside):
        return True
    parts = [part.strip("()[]{} ") for part in _SEVERAL.split(given)]
    if len(parts) > 1 and said in (normalise(part) for part in parts):
        return True
    percent = said.rstrip(" \\%") if said.endswith("%") else None
    number_said, exact = number(percent or said), number(inside.rstrip(" \\%"))
    if number_said is None:
        return False
    if exact is None:
        return True  # what a surd or π comes to
    decimals = len((percent or said).partition(".")[2])
    exacts = [exact, 100 * exact] if percent else [exact]
    near = any(2 * abs(number_said - value) * 10**decimals <= 1 for value in exacts)
    rounds = near and (percent is not None or decimals > 0)
    return rounds or number_said in exacts
