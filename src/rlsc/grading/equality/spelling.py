"""What latex2sympy reads wrongly, in a spelling that it reads rightly."""

from __future__ import annotations

import re

from rlsc.grading.notation.numbers import MIXED, REPEATING, repeating

_DECIMAL = re.compile(r"(?<![\w.])(\d*)\.(\d+)(?![\w.])|(?<![\w.])(\d+)\.(\d*)")
_DERIVATIVE = re.compile(
    r"\\frac\{\s*d\s*(?:\^\s*\{?(\d)\}?\s*)?(\\?[A-Za-z]+(?:_\{?\w+\}?)?)\s*\}"
    r"\{\s*d\s*([A-Za-z])\s*(?:\^\s*\{?\d\}?)?\s*\}"
)
_DOT = re.compile(r"\\(d?)dot\s*\{\s*(\\?[A-Za-z]+)\s*\}(_(?:\{\w+\}|\w))?")
_PRIME = re.compile(
    r"(\\?[A-Za-z]+(?:_\{?\w+\}?)?)\s*(?:\^\s*\{\s*((?:\\prime\s*)+)\}|('+)|\^\s*\\prime)"
)
# Names that latex2sympy takes for constants and functions of its own.
_RESERVED = re.compile(
    r"(?:\\(gamma|Gamma|zeta|beta|Pi|ell)(?![A-Za-z])|(?<![\\A-Za-z_])(?<!_\{)(E)(?![A-Za-z]))"
    r"(?:\s*_\s*(?:\{\s*(\w+)\s*\}|(\w)))?"
)
_NAME_PARTS = re.compile(r"[^A-Za-z0-9]")
_SPELLINGS = {r"\hbar": "h_{bar}", r"\odot": "odot", "°": "", r"\ast": r"\cdot"}


def _repeating(match: re.Match[str]) -> str:
    value = repeating(match)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _alias(match: re.Match[str]) -> str:
    name, letter, index, digit = match.groups()
    return f"{{A_{{{name or 'letter' + letter}{index or digit or ''}}}}}"


def prepare(text: str) -> str:
    """`text` with decimals as fractions, derivatives and reserved names as plain names."""

    def decimal(match: re.Match[str]) -> str:
        whole, part = (match[1], match[2]) if match[2] is not None else (match[3], match[4])
        return rf"\frac{{{int((whole or '0') + part)}}}{{{10 ** len(part)}}}"

    def derived(name: str, order: int, index: str = "") -> str:
        return f"D_{{{_NAME_PARTS.sub('', name + index)}d{order}}} "

    # 1/3 π is a third of π.
    text = re.sub(r"(?<![\w}.])(\d+)\s*/\s*(\d+)(?=\s*[\\A-Za-z(])", r"\\frac{\1}{\2}", text)
    text = REPEATING.sub(_repeating, text)
    text = re.sub(r"(?<![\\A-Za-z])([fgh])\s*\^\s*\{\s*-1\s*\}\s*\(", r"\1_{inv}(", text)
    text = _DERIVATIVE.sub(lambda m: derived(m[2], int(m[1] or 1)), text)
    text = _DOT.sub(lambda m: derived(m[2], 2 if m[1] else 1, m[3] or ""), text)
    text = _PRIME.sub(
        lambda m: derived(m[1], (m[2] or "").count("prime") or len(m[3] or "") or 1), text
    )
    text = re.sub(r"(?<=\d)\s*(?=\\frac\{\d+\}\{\d+\})", "+", text) if MIXED.match(text) else text
    text = re.sub(r"_([A-Za-z0-9])(?=[A-Za-z0-9])", r"_{\1} ", text)
    text = _RESERVED.sub(_alias, text)
    for command, spelling in _SPELLINGS.items():
        text = text.replace(command, spelling)
    text = re.sub(r"\s*([_^])\s*", r"\1", text)
    text = re.sub(r"_\{\s*\\text\s*\{\s*(\w+)\s*\}\s*\}", r"_{\1}", text)
    text = re.sub(r"\\text\s*\{\s*(\w)\s*\}", r"\1", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    # \log n of one name or number: braces keep the parser from taking too much or too little.
    text = re.sub(r"(\\(?:log|ln)(?:_\{?\w+\}?)?)\s+([A-Za-z]|\d+)(?![\w({])", r"\1{\2}", text)
    return _DECIMAL.sub(decimal, text)
