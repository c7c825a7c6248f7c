"""Where no answer is stated: the last formula or bold passage, else the last number."""

from __future__ import annotations

import re

from rlsc.grading.passages import (
    CIRCUMSTANCE,
    MATH,
    NUMBER,
    inside,
    is_mathematics,
    last_match,
    right_side,
    with_unit,
)

_NEAR_END = 150
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_SPELLED = re.compile(
    r"\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[ -]"
    r"(?:one|two|three|four|five|six|seven|eight|nine))?|two|three|four|five|six|seven|eight|nine"
    r"|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|zero)\b"
    r"(?! (?:of|hundred|thousand|million))",
    re.IGNORECASE,
)


def last_formula(text: str) -> str | None:
    """The last formula or bold passage, if no number comes after it."""
    last: re.Match[str] | None = None
    for pattern in (MATH, _BOLD):
        for match in pattern.finditer(text):
            if last is None or match.start() > last.start():
                last = match
    if last is None or re.search(r"\d", text[last.end() :]):
        return None
    if len(text) - last.end() > _NEAR_END:
        return None  # a formula on the way; the text was cut off before its answer
    if CIRCUMSTANCE.search(text[max(0, last.start() - 40) : last.start()]):
        return None
    value = right_side(inside(last))
    if is_mathematics(value) and re.search(r"[\d\\]", value):
        return value
    is_last = len(text) - last.end() < 80 and "\n" not in text[last.end() :].strip()
    return value if last.re is _BOLD and is_last and len(value.split()) <= 3 else None


def last_number(text: str) -> str | None:
    number = _without_circumstances(text) or last_match(NUMBER, text)
    spelled = _last_spelled(text[number.end() if number else 0 :])
    if number is None or spelled:
        return spelled
    found = re.sub("[$＄€£]", "", number.group())
    # "5-3" is a subtraction, not minus three.
    if found.startswith("-") and number.start() > 0 and text[number.start() - 1].isalnum():
        found = found[1:]
    return found + (with_unit(text, number).removeprefix(number.group()))


def _without_circumstances(text: str) -> re.Match[str] | None:
    """The last number of the last sentence that no "in 4 weeks", "over 30 days" or "than" holds."""
    start = max(text.rstrip(" .!\n").rfind(end) for end in (". ", "\n", "! "))
    last = None
    for number in NUMBER.finditer(text, max(start, 0)):
        if not CIRCUMSTANCE.search(text[max(start, 0) : number.start()][-40:]):
            last = number
    return last


def _last_spelled(text: str) -> str | None:
    """`thirty-nine` where the last number is in words; "one" and "a" are mostly no numbers."""
    found = last_match(_SPELLED, text)
    return found.group() if found else None
