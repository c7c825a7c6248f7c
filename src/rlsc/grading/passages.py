"""Passages of a response: are they mathematics, and what is their value?"""

from __future__ import annotations

import re

from rlsc.grading.normalise import normalise
from rlsc.grading.units import is_unit_word

_COMMAND = re.compile(r"\\text\s*\{[^{}]*\}|\\(?:begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
NUMBER = re.compile(r"-?[$＄€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?")
MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
CIRCUMSTANCE = re.compile(
    r"\b(?:over|in|after|within|during|than|out of|compared (?:with|to)|every|per|leaving the"
    r"|end of)"
    r"\s+(?:the |a |an |only |about |just )*\$?$"
)
CONNECTIVES = {
    "and",
    "or",
    "sqrt",
    "infinity",
    "infty",
    "pi",
    "base",
    "all",
    "real",
    "numbers",
    "for",
}
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "arcsin", "arccos"}
_NAME = re.compile(r"\\?[A-Za-z]+|[A-Za-z](?:_\{?\w+\}?)?|[A-Za-z ]{3,30}")
_SHORT_WORDS = {
    "is",
    "it",
    "to",
    "of",
    "in",
    "on",
    "at",
    "by",
    "we",
    "so",
    "if",
    "as",
    "be",
    "do",
    "no",
}
_SHORT_WORDS |= {"he", "me", "my", "an", "up", "us", "go", "ok", "oh", "hi"}


def is_mathematics(text: str, numberless: bool = False) -> bool:
    """No words but units, names of functions, "and", "or", and capital letters in a row."""
    words = _WORD.findall(_COMMAND.sub(" ", normalise(text)))
    known = (
        word.lower() in CONNECTIVES
        or word.lower() in _FUNCTIONS
        or is_unit_word(word)
        or (word.isupper() and len(word) <= 5)
        or (len(word) == 2 and word.lower() not in _SHORT_WORDS)
        for word in words
    )
    if not text or not all(known):
        return False
    return numberless or not words or bool(re.search(r"[\d\\=]", normalise(text)))


def clean(text: str) -> str:
    """Without emphasis, quotes, formula signs and a full stop around it."""
    text = text.strip()
    previous = None
    while text != previous:
        previous = text
        text = text.strip().strip('*`"“”').strip()
        text = re.sub(r"^\\[\[(]\s*(.*?)\s*\\[\])]$", r"\1", text, flags=re.DOTALL)
        if len(text) > 1 and text.startswith("$") and text.endswith("$"):
            inner = text.strip("$")
            text = inner if "$" not in inner else text
            if "$" in inner:
                break
        text = text.rstrip(".,;!").strip()
    return text


def right_side(text: str) -> str:
    """`11` of `3 + 8 = 11` and `5` of `x = 5`; other equations stay as they are."""
    if "=" not in text or re.search(r"[,;<>]|\\[lg]e(?![a-z])|\bor\b|\band\b|!=", text):
        return text
    left, _, right = text.rpartition("=")
    named = all(
        not re.search(r"[A-Za-z]", _COMMAND.sub("", side)) or _NAME.fullmatch(side.strip())
        for side in left.split("=")
    )
    if re.fullmatch(r"\s*[A-Za-z]{2,}\s*", left) and not re.search(r"[\d\\]", right):
        return text  # MR = MC is an equation, not a definition of MR
    return clean(right) or clean(left) if named else text


def inside(match: re.Match[str]) -> str:
    return clean(next(group for group in match.groups() if group is not None))


def with_unit(text: str, number: re.Match[str]) -> str:
    """The number and the word after it: a unit, or nothing that matters."""
    word = re.match(r"\s*(?:degrees|radians|°)", text[number.end() : number.end() + 12])
    return number.group() + (word.group() if word else "")


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of `pattern`."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007
        pass
    return found
