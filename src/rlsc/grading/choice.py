"""Multiple choice: by letter, or by the text of an option."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlsc.grading.extract import MARKS, boxed, own_words
from rlsc.grading.normalise import normalise
from rlsc.grading.passages import clean, last_match

LETTERS = "ABCDEFGHIJ"

_LETTER = r"(?:\\text\w*\s*\{\s*)?\(?\s*([A-J])\s*\)?(?:\s*\})?"
_STATED = re.compile(
    r"(?:(?:answer|choice|option)"
    r"(?:\s+(?:is|would be|should be|must be|choice|to [^.\n]{1,60}? is))*"
    r"\s*(?:is|:|=)?|(?:I(?:'d| would)? (?:choose|pick|select|say|go with|think it(?:'s| is)))"
    r"|\b(?:it(?:'s| is| must be)|is))\s*[:\s]*(?:option|choice|letter|answer)?\s*[*_$`\"\s]*"
    rf"(?:\\boxed\s*\{{\s*)?{_LETTER}(?=[\s.,:;)*$`\"'\\}}\]]|$)(?!\s*(?:and|or|&)\s*\(?[A-J]\b)"
    r"(?!\s+[a-z]{2,})",
    re.IGNORECASE,
)
_ANSWER_TEXT = re.compile(r"answer is:?\s*([^\n]{1,300})", re.IGNORECASE)
_ONLY_TWO = re.compile(r"\(?[A-J]\)?\s*(?:and|or|&|,)\s*\(?[A-J]\)?")
_TWO = re.compile(
    r"answers? (?:is|are):? *\(?([A-J])\)? *(?:and|or|&|,) *\(?([A-J])\)?(?=[\s.,]|$)"
)
_BOLD = re.compile(rf"\*\*\s*{_LETTER}\s*(?:[.):].*?)?\*\*")
_LINE = re.compile(r"^\s*[*_$`\"]*\(?([A-J])\)?[*_$`\"]*\s*(?:[.):]\s*.*)?$", re.MULTILINE)


def extract_choice(response: str, choices: Sequence[str] | None = None) -> str | None:
    """The letter that the response settles on, else None.

    Several letters in one box are no choice. `choices` lets the text of an option stand for it.
    """
    text = own_words(response)
    inside = boxed(text)
    if inside is not None:
        return _of_statement(inside, choices)
    if mark := list(MARKS.finditer(text)):
        return _of_statement(mark[-1].group(1) or mark[-1].group(2), choices)
    if pair := _TWO.search(text):
        return f"{pair.group(1)} and {pair.group(2)}"
    stated = None
    for match in _STATED.finditer(text):
        # "a" as an article is no letter: lower case counts only in brackets or at the end.
        at_end = re.match(r"\W*(?:\n|$)", text[match.end() :])
        if match.group(1).isupper() or "(" in match.group() or at_end:
            stated = match.group(1).upper()
    if stated is not None:
        return stated
    if (named := last_match(_ANSWER_TEXT, text)) and (
        same := _matching_options(clean(named.group(1)), choices)
    ):
        return same[0]
    for pattern in (_BOLD, _LINE):
        found = last_match(pattern, text)
        if found is not None:
            return found.group(1).upper()
    whole = clean(text)
    return _of_statement(whole, choices) or _named_option(whole, choices)


def _of_statement(text: str, choices: Sequence[str] | None) -> str | None:
    plain = re.sub(r"\\text\w*\s*\{([^{}]*)\}", r"\1", clean(text)).strip()
    same = _matching_options(plain, choices)
    if len(same) == 1 and not re.fullmatch(r"\(?[A-J]\)?", plain):
        return same[0]
    if re.fullmatch(r"\(?[a-jA-J]\)?[.:]?", plain):
        return plain.strip("().: ").upper()
    if _ONLY_TWO.fullmatch(plain):
        return plain  # two letters: an answer, and not the one that was asked for
    match = re.fullmatch(r"\(?([A-J])\)?\s*[.):,-]\s*(.+)|\(([A-J])\)\s*(.+)", plain, re.DOTALL)
    if match is None:
        return same[0] if same else None
    letter, rest = match[1] or match[3], match[2] or match[4]
    if re.fullmatch(r"(?:and|or|,|&|\s)*\(?[A-J]\)?", rest):
        return plain  # two letters: an answer, and not the one that was asked for
    return str(letter)


def _matching_options(text: str, choices: Sequence[str] | None) -> list[str]:
    wanted = _plain(text)
    return [
        letter
        for letter, option in zip(LETTERS, choices or (), strict=False)
        if wanted and _plain(option) == wanted
    ]


def _named_option(text: str, choices: Sequence[str] | None) -> str | None:
    """The one option whose text ends the response's last sentence."""
    wanted = _plain(text.strip().rpartition("\n")[2][-300:])
    found = [
        letter
        for letter, option in zip(LETTERS, choices or (), strict=False)
        if (plain := _plain(option)) and re.search(rf"(?<![a-z0-9.]){re.escape(plain)}$", wanted)
    ]
    return found[0] if len(found) == 1 else None


def _plain(text: str) -> str:
    return re.sub(r"[\s$]+", " ", normalise(text)).strip().rstrip(".").casefold()
