"""Where no answer is stated: the last formula or bold passage, else the last number."""

from __future__ import annotations

import re

from rlsc.grading.extract.passages import (
    BOUND,
    CIRCUMSTANCE,
    DENIAL,
    MATH,
    NUMBER,
    PART_AFTER,
    PART_BEFORE,
    inside,
    is_mathematics,
    last_match,
    right_side,
    with_unit,
)
from rlsc.grading.notation.numbers import PARTS, TENS, UNITS

_NEAR_END = 150
_SENTENCE = 1000
"""Longer ones are read from here on."""
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
# "One" and "a" are mostly no numbers.
_SMALL = "|".join([UNITS[0], *UNITS[2:]])
_ANY = rf"(?:(?:{'|'.join(TENS)})(?:[ -](?:{'|'.join(UNITS[1:10])}))?|{'|'.join(UNITS[1:])})"
_SCALE = "(?:hundred|thousand|million|billion)"
_SINGULAR = "|".join(part for part in PARTS if part != "halves")
SPELLED = re.compile(
    # "five hundred and twelve"; of "a hundred" the number is the hundred.
    rf"(?:\b{_ANY} |(?<=\ba )){_SCALE}(?:(?: and)? {_ANY}\b(?! of)| {_SCALE}\b)*(?![ -]{_SCALE})\b"
    # "two thirds", "three quarters"; "three tenth graders" are three.
    rf"|\bone[ -](?:{_SINGULAR})\b"
    rf"|\b(?:{'|'.join(UNITS[2:10])})[ -](?:halves|(?:{_SINGULAR})s)\b"
    rf"|\b(?:(?:{'|'.join(TENS)})(?:[ -](?:{'|'.join(UNITS[1:10])}))?|{_SMALL})"
    r"(?: and (?:a|one)[ -](?:half|third|quarter))?\b"
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
    if is_mathematics(value) and re.search(r"[\d\\]|\w\s*[-+*/^]\s*\w", value):
        return value
    is_last = len(text) - last.end() < 80 and "\n" not in text[last.end() :].strip()
    return value if last.re is _BOLD and is_last and len(value.split()) <= 3 else None


def without_numbering(text: str) -> str:
    """Without the numbers of a list's items, where one alone may be an answer, and of pages."""
    text = _PLACE.sub("", _STEP.sub("", text))
    items = _ITEM.findall(text)
    return _ITEM.sub("", text) if len(items) > 1 else text


_STEP = re.compile(r"^[ \t]*[*#]*[ \t]*Step \d{1,2}[.):][*]*[ \t]+", re.MULTILINE)
# "See page 12"; "she is on page 12" may answer.
_PLACE = re.compile(
    r"(?<!\bis )(?<!\bon )(?<!\bat )(?<!\bto )(?<!\bwas )(?<!\breaches )"
    r"\b(?:page|step|chapter|section|figure|exercise|problem|question|equation|example|table"
    r"|lemma|theorem)\s+(?:no\. ?|#)?\d{1,4}\b"
    r"(?![.,/]?\d)(?!\s*[-+*=])[:.)]?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^[ \t]*(?:\*\*)?\d{1,2}[.):][ \t]+(?=[^\s\d])", re.MULTILINE)


def last_number(text: str) -> str | None:
    """The number that the last sentence is about, else the last one; in words, as in digits."""
    numbers = [
        number
        for number in NUMBER.finditer(text)
        if not _INDEX.search(text[max(0, number.start() - 6) : number.start()])
        and not _ADJECTIVE.match(text, number.end())
        and not _compared(text, number)
    ]
    number = _without_circumstances(text, numbers) or (numbers[-1] if numbers else None)
    if number is not None:
        before = text[max(0, number.start() - 30) : number.end()]
        if DENIAL.search(before) or BOUND.search(before):
            return None  # "It is not 5", "at least 5": no answer
        part = PART_BEFORE.search(text[max(0, number.start() - 60) : number.start()])
        if part or PART_AFTER.match(text, number.end()):
            return None
    spelled = _last_spelled(text, numbers[-1].end() if numbers else 0)
    if number is None or spelled:
        return spelled
    digits = re.sub("[$＄]", "", number.group())
    # "5-3" is a subtraction, not minus three.
    if digits.startswith("-") and number.start() > 0 and text[number.start() - 1].isalnum():
        digits = digits[1:]
    return digits + (with_unit(text, number).removeprefix(number.group()))


_ADJECTIVE = re.compile(r"-(?:[a-z]+-)?[a-z]{3,}")  # the 30 of "two 20-minute cakes"
# The 1 of A_1 and the 2 of x^{2} are no answers.
_INDEX = re.compile(r"[_^]\s*\{?\s*-?$")


def _compared(text: str, number: re.Match[str]) -> bool:
    """Whether an inequality bounds something by the number: the 4 of `k > 4` is no value."""
    before = text[max(0, number.start() - 12) : number.start()]
    return bool(_BEFORE_BOUND.search(before) or _AFTER_BOUND.match(text, number.end()))


_UNEQUAL = r"(?:(?<![-=<>])[<>](?![<>])=?|[≤≥]|\\(?:leq?|geq?|lt|gt|leqslant|geqslant)(?![a-z]))"
_BEFORE_BOUND = re.compile(rf"[\w}})]\s*{_UNEQUAL}\s*-?$")
_AFTER_BOUND = re.compile(rf"\s*{_UNEQUAL}\s*[\w\\(|]")


def _without_circumstances(text: str, numbers: list[re.Match[str]]) -> re.Match[str] | None:
    """The number that the last sentence is about.

    One right after a verb, as in "she has 7 eggs for 2 days", else the last one that no "in 4
    weeks", "over 30 days" or "than" holds. What follows "which" or "leaving" is not read.
    """
    ends = (text.rstrip(" .!\n").rfind(end) for end in (". ", "\n", "! "))
    start = max(0, len(text) - _SENTENCE, *ends)
    end = len(text)
    for so in _SO.finditer(text, start, end):
        if re.search(r"\d", text[so.end() : end]):
            start = so.end()
    for cut in _ASIDE.finditer(text, start):
        if re.search(r"\d", text[start : cut.start()]):
            end = cut.start()
            break
    for that_is in _THAT_IS.finditer(text, start, end):
        if re.search(r"\d", text[that_is.end() : end]):
            start = that_is.end()
    numbers = [number for number in numbers if start <= number.start() < end]
    if only := _only_formula(text, start) or _only_bold(text, start):
        return only
    if "=" not in text[start:]:
        stated = [number for number in numbers if _VERB.search(text, start, number.start())]
        if stated:
            return stated[-1]
    for number in reversed(numbers):
        if not CIRCUMSTANCE.search(text[start : number.start()][-40:]):
            return number
    return None


def after_verb(text: str) -> bool:
    """Whether a number in `text` stands right after a verb: `She has 7 eggs for `."""
    starts = (number.start() for number in NUMBER.finditer(text))
    return any(_VERB.search(text, max(0, start - 60), start) for start in starts)


def _only_bold(text: str, start: int) -> re.Match[str] | None:
    """The number of the one bold passage: `There are **6 eggs** left after she ate 4.`"""
    bold = list(_BOLD.finditer(text, start))
    if len(bold) != 1 or MATH.search(text, start):
        return None
    numbers = list(NUMBER.finditer(text, bold[0].start(1), bold[0].end(1)))
    before = text[start : bold[0].start()]
    aside = CIRCUMSTANCE.search(before[-40:]) or FOR.search(before) or DENIAL.search(before)
    return numbers[0] if len(numbers) == 1 and not aside else None


def _only_formula(text: str, start: int) -> re.Match[str] | None:
    """The one number that a sentence sets as a formula: `They need \\(740\\) for 6 weeks.`"""
    formulas = list(MATH.finditer(text, start))
    spans = map(_span, formulas)
    numbers = [number for span in spans if (number := NUMBER.fullmatch(text, *span))]
    if len(numbers) != 1 or not re.search(r"[A-Za-z]", text[start : formulas[0].start()]):
        return None
    before = text[start : formulas[0].start()]
    aside = CIRCUMSTANCE.search(before[-40:]) or FOR.search(before) or DENIAL.search(before)
    return None if aside or numbers[0].start() > formulas[0].end() else numbers[0]


def _span(formula: re.Match[str]) -> tuple[int, int]:
    group = formula.lastindex or 0
    inner = formula.group(group)
    left = len(inner) - len(inner.lstrip(" $＄"))
    return formula.start(group) + left, formula.end(group) - (len(inner) - len(inner.rstrip()))


FOR = re.compile(r"\b(?:for|with|if|when|given|since|as|from|on|to)\s+(?:the |all |these )?$", re.I)
_SO = re.compile(r",?\s(?:so|thus|hence|therefore),?\s")
_THAT_IS = re.compile(r",?\si\.e\.,?\s")
_ASIDE = re.compile(
    r",?\s+(?:which|leaving|compared|because|since|than|when|if|provided"
    r"|to (?!get|give|obtain|equal|be|yield|find|total|round|a\b|the\b|reach a)[a-z]+)\b"
    r"|(?<=,) who\b(?=[^,]*$)"
    r"|\s\((?=[^()]*\)\W*$)"
)
_VERB = re.compile(
    r"(?<!\bto )\b(?:is|are|was|were|be|has|have|had|earn(?:s|ed)?|buy|bought|needs?|gets?"
    r"|got|pays?|paid|costs?|makes?|made|eats?|ate|equals?|takes?|took|spends?|spent|sells?|sold|saves?|saved"
    r"|reads?|runs?|receives?|received)\s+(?:[a-z]+\s+){0,2}[*$＄€£]*$"
)


def _last_spelled(text: str, start: int) -> str | None:
    """`thirty-nine` after the last number in digits; "over the three months" answers nothing."""
    spelled = last_match(SPELLED, text[start:])
    if spelled is None:
        return None
    before, after = text[: start + spelled.start()], text[start + spelled.end() :]
    if re.search(r"[.!?]\s+\S|\n\s*\S", after) or re.match(r"\s*times\b", after):
        return None  # not the last sentence
    # "two numbers" is talk; "is nine" and "thirty-nine" are answers.
    long = len(spelled.group()) > 5 and not after.startswith(" of ")
    stated = _STATED.search(before) or long or not re.search(r"\d", before)
    return spelled.group() if stated and not CIRCUMSTANCE.search(before[-40:]) else None


_STATED = re.compile(r"\b(?:is|are|was|were|has|have|had|get|gets|equals)\s+(?:only |just )?$")
