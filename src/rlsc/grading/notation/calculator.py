r"""Calls as a calculator or sympy writes them: ``Abs(x)``, ``asin(1)``, ``cbrt(7)``, ``oo``."""

from __future__ import annotations

import re

_CALL = re.compile(r"(?<![\\A-Za-z])([Aa]bs|a(?:sin|cos|tan)|cbrt)\s*\(")
_INFINITY = re.compile(r"(?<![\\A-Za-z\d])oo(?=\s*[)\],;]|\s*$)")
_MOST_CALLS = 50
"""Of one answer: each is looked through once."""


def calculator_text(text: str) -> str:
    r"""`Abs(x)` as `|x|`, `asin(1)` as `\arcsin(1)`, `cbrt(7)` as a root, `oo` as infinity.

    >>> calculator_text("2*asin(1) + Abs(x - 1)")
    '2*\\arcsin(1) + |x - 1|'
    """
    if "(" not in text and "oo" not in text:
        return text
    for _ in range(_MOST_CALLS):
        call = _CALL.search(text)
        end = _closing(text, call.end() - 1) if call else None
        if call is None or end is None:
            break
        inside = text[call.end() : end]
        text = text[: call.start()] + _latex(call[1].lower(), inside) + text[end + 1 :]
    return _INFINITY.sub(r"\\infty ", text)


def _latex(name: str, inside: str) -> str:
    if name == "abs":
        return f"|{inside}|"
    if name == "cbrt":
        return rf"\sqrt[3]{{{inside}}}"
    return rf"\arc{name[1:]}({inside})"


def _closing(text: str, start: int) -> int | None:
    """Index of the round bracket that closes the one at `start`; None if there is none."""
    depth = 0
    for bracket in re.finditer(r"[()]", text[start:]):
        depth += 1 if bracket.group() == "(" else -1
        if depth == 0:
            return start + bracket.start()
    return None
