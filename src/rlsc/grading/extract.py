"""Find the final answer in a completion, without looking at any reference."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?")
_BOXED = re.compile(r"\\boxed\s*\{")


def extract_answer(text: str) -> str | None:
    r"""The content of the last `\boxed{}`, else the last number, else None.

    >>> extract_answer("3 + 8 = 11, so the answer is 11.")
    '11'
    """
    boxed = _last_boxed(text)
    if boxed is not None:
        return boxed
    number = None
    for match in _NUMBER.finditer(text):
        number = match
    if number is None:
        return None
    found = number.group()
    # "5-3" is a subtraction, not minus three.
    if found.startswith("-") and number.start() > 0 and text[number.start() - 1].isalnum():
        found = found[1:]
    return found


def _last_boxed(text: str) -> str | None:
    last = None
    for match in _BOXED.finditer(text):
        end = _closing_brace(text, match.end())
        if end is not None:
            last = text[match.end() : end].strip()
    return last or None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None
