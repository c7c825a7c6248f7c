"""Find the final answer in a completion, without looking at any reference."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?")
_BRACE_OR_BOX = re.compile(r"\\boxed\s*\{|[{}]")


def extract_answer(text: str) -> str | None:
    r"""The content of the last `\boxed{}` that is not empty, else the last number, else None.

    >>> extract_answer("3 + 8 = 11, so the answer is 11.")
    '11'
    """
    text = text.replace("−", "-")
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
    """The box that starts last, in one pass: a model may write thousands that never close."""
    open_braces: list[tuple[int, bool]] = []  # where the content starts, whether it is a box's
    last, content = -1, None
    for match in _BRACE_OR_BOX.finditer(text):
        if match.group() != "}":
            open_braces.append((match.end(), match.group() != "{"))
        elif open_braces:
            start, is_box = open_braces.pop()
            if is_box and start > last and (inside := text[start : match.start()].strip()):
                last, content = start, inside
    return content
