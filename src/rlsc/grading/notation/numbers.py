"""Literal numbers, exactly: digits, fractions, scientific notation and English words."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = re.compile(r"([+-]?)\s*(\d+(?:\.\d*)?|\.\d+)(?:\s*[eE]\s*([+-]?\d{1,3}))?")
_SCIENTIFIC = re.compile(
    r"([+-]?)\s*(\d+(?:\.\d*)?|\.\d+)?\s*(?:\\times|\\cdot|x)?\s*10\s*\^\s*\{?\s*([+-]?\d{1,3})\s*\}?"
)
# A part of a fraction may have its sign in brackets: 2/(-3).
_WHOLE = r"(-?\s*\d+|\(\s*[-+]?\s*\d+\s*\))"
_SIMPLE = re.compile(rf"([+-]?)\s*(\d+|\(\s*[-+]?\s*\d+\s*\))\s*/\s*{_WHOLE}")
_FRACTION = re.compile(rf"([+-]?)\s*\\frac\{{\s*{_WHOLE}\s*\}}\{{\s*{_WHOLE}\s*\}}")
_NEGATED = re.compile(r"-\s*\(([^()]+)\)")
MIXED = re.compile(r"([+-]?)\s*(\d+)\s*(?:\\frac\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}|[ -](\d+)/(\d+))")
REPEATING = re.compile(r"(\d*)\.(\d*)\s*\\(?:overline|bar)\s*\{\s*(\d+)\s*\}")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[+-]?\d{1,3}(?: \d{3})+(?:\.\d+)?")


def number(text: str) -> Fraction | None:
    r"""A literal number exactly: 1,234.5, 3/4, 1\frac{4}{5}, 0.\overline{3}, 4.5e33, twelve.

    None for anything else, and for more than 1000 characters.
    """
    text = text.strip()
    if len(text) > 1000:
        return None
    if _THOUSANDS.fullmatch(text):
        text = re.sub("[ ,]", "", text)
    if negated := _NEGATED.fullmatch(text):
        value = number(negated[1]) if negated[1].strip()[:1] not in ("-", "+") else None
        return None if value is None else -value
    try:
        if match := _SIMPLE.fullmatch(text):
            sign, top, bottom = match.groups()
            return _signed(sign, Fraction(_integer_of(top), _integer_of(bottom)))
        while text.startswith("(") and text.endswith(")"):
            text = text[1:-1].strip()
        if match := _NUMBER.fullmatch(text):
            sign, digits, exponent = match.groups()
            return _signed(sign, Fraction(digits) * Fraction(10) ** int(exponent or 0))
        if match := _SCIENTIFIC.fullmatch(text):
            sign, digits, exponent = match.groups()
            return _signed(sign, Fraction(digits or 1) * Fraction(10) ** int(exponent))
        if match := _SIMPLE.fullmatch(text):
            sign, top, bottom = match.groups()
            return _signed(sign, Fraction(_integer_of(top), _integer_of(bottom)))
        if match := _FRACTION.fullmatch(text):
            sign, top, bottom = match.groups()
            return _signed(sign, Fraction(_integer_of(top), _integer_of(bottom)))
        if match := MIXED.fullmatch(text):
            sign, whole, *parts = match.groups()
            top, bottom = (part for part in parts if part is not None)
            return _signed(sign, int(whole) + Fraction(int(top), int(bottom)))
        if match := REPEATING.fullmatch(text.lstrip("+-").lstrip()):
            return _signed(text[0], repeating(match))
    except (ZeroDivisionError, ValueError):
        return None
    return _in_words(text)


def with_point(first: str, second: str) -> tuple[str, str] | None:
    """Two texts with the decimal comma of one of them as a point, where the other has a point.

    1,234 is a number of thousands; 1,2 and 1, 25 and 1,25 are two numbers. A comma is decimal
    where something says so: a 0 before it, a unit or currency, or its digits (2400,75; 3,1416).

    >>> with_point("3,65 €", "3.65")
    ('3.65 €', '3.65')
    """
    comma, point = (_decimal(text) for text in (first, second))
    if comma and _POINT.fullmatch(second.strip()):
        return comma, second
    if point and _POINT.fullmatch(first.strip()):
        return first, point
    return None


def _decimal(text: str) -> str | None:
    """With its decimal comma as a point; None where it has none for certain."""
    match = _COMMA.fullmatch(text.strip())
    if match is None:
        return None
    before, whole, digits, unit = match.groups()
    certain = whole == "0" or len(digits) > 2 or (len(whole) == 4 and len(digits) == 2)
    if not certain and not unit.strip("$ ") and not _CURRENCY.search(before):
        return None
    return f"{before}{whole}.{digits}{unit}"


# With a unit or currency, of which no letter is a variable's: 3,65 €, \\text{ cm} or m².
_GAP = r"(?:\s|\\[ ,;:])"
_UNIT = (
    rf"(?:{_GAP}?(?:\\%|%|\\?\$|[€£¥＄°])|{_GAP}?\\text\s?\{{[^{{}}\d]{{1,30}}\}}"
    rf"|{_GAP}[A-Za-z]{{1,12}}|[A-Za-z]{{2,12}})?[²³]?\$?"
)
_CURRENCY = re.compile(r"\\\$|[€£¥＄]")
_SIGNED = r"(?:\\?\$|[€£¥＄])?\s?[-+−]?"
_COMMA = re.compile(rf"({_SIGNED})(0|[1-9]\d*(?!,\d{{3}}(?!\d))),(\d{{2,30}})(?!\d)({_UNIT})")
_POINT = re.compile(rf"{_SIGNED}(?:\d+|\d{{1,3}}(?:,\d{{3}})+)\.\d+{_UNIT}")


def repeating(match: re.Match[str]) -> Fraction:
    r"""0.1\overline{6} is 1/6."""
    whole, fixed, cycle = match[1] or "0", match[2], match[3]
    top = int(whole + fixed + cycle) - int(whole + fixed)
    return Fraction(top, (10 ** len(cycle) - 1) * 10 ** len(fixed))


def _integer_of(text: str) -> int:
    """-3 of `-3`, `- 3` and `(-3)`."""
    return int(re.sub(r"[\s()]", "", text))


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value


UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: value for value, word in enumerate(UNITS)}
_SMALL |= {word: 10 * (value + 2) for value, word in enumerate(TENS)}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10}


_AND_PART = re.compile(r"(.+) and (?:a|one) (half|third|quarter)")


def _in_words(text: str) -> Fraction | None:
    """The number that `text` spells in English, None if it is anything else."""
    words = re.findall(r"[a-z]+", text.lower())
    if not words or len(words) > 12 or re.search(r"[^A-Za-z\s-]", text):
        return None
    if (half := _AND_PART.fullmatch(" ".join(words))) and half[2] in PARTS:
        whole = _in_words(half[1])  # two and a half
        below = whole is not None and whole < 0
        return None if whole is None else whole + Fraction(-1 if below else 1, PARTS[half[2]])
    sign = -1 if words[0] in ("minus", "negative") else 1
    words = words[sign == -1 :]
    if (words and words[-1].removesuffix("s") in PARTS) or (words and words[-1] in PARTS):
        part = PARTS.get(words[-1]) or PARTS[words[-1].removesuffix("s")]
        top = _integer(["one" if word in ("a", "an") else word for word in words[:-1]] or ["one"])
        return None if top is None else Fraction(sign * top, part)
    value = _integer(words)
    return None if value is None else Fraction(sign * value)


def _integer(words: list[str]) -> int | None:
    total, current, seen = 0, 0, False
    for word in words:
        if word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in _SCALES:
            total += max(current, 1) * _SCALES[word]
            current = 0
        elif word == "and" and seen:
            continue
        else:
            return None
        seen = True
    return total + current if seen else None
