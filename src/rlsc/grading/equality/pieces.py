r"""Functions by pieces: ``\begin{cases} x & x \ge 0 \\ -x & x < 0 \end{cases}`` is |x|."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import sympy

from rlsc.grading.equality.forms import parse
from rlsc.grading.equality.sets import as_set
from rlsc.grading.equality.values import equal_expressions, expression

_CASES = r"\begin{cases}"
_NAMED = re.compile(r"\s*([A-Za-z])\s*(?:\(\s*[A-Za-z]\s*\))?\s*=(.*)", re.DOTALL)
_ROWS = re.compile(r"\s*\\begin\{cases\}(.*)\\end\{cases\}\s*", re.DOTALL)
_TALK = re.compile(r"\\text\s*\{\s*,?\s*(?:if|for|when)?\s*\}|\b(?:if|for|when)\b")
_OTHERWISE = re.compile(r"(?:\\text\s*\{\s*)?,?\s*(?:otherwise|else)\s*\}?")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_STEPS = [sympy.Rational(*step) for step in ((1, 13), (5, 7), (17, 9), (13, 3), (101, 9), (999, 7))]

Pieces = list[tuple[Any, Any]]
"""Of each piece its expression, and the real numbers that it holds for."""


def same_function(gold: str, answer: str) -> bool | None:
    """Whether two functions of one variable agree; None where neither has cases that are read."""
    if _CASES not in gold + answer:
        return None
    (gold_name, left), (name, right) = _named(gold), _named(answer)
    if (gold_name and name and gold_name != name) or left is None or right is None:
        return None
    symbols = {symbol for value, _ in left + right for symbol in value.free_symbols}
    whole = [sympy.Union(*(part for _, part in pieces)) for pieces in (left, right)]
    if len(symbols) > 1 or whole[0] != whole[1]:
        return False
    symbol = next(iter(symbols), sympy.Dummy())  # constants are compared too
    points = (
        (a.subs(symbol, point), b.subs(symbol, point))
        for (a, domain), (b, other) in product(left, right)
        for point in _points(sympy.Intersection(domain, other))
    )
    return all(equal_expressions(a, b) for a, b in points)


def _named(text: str) -> tuple[str | None, Pieces | None]:
    """The name of f(x) = …, and its pieces: None where they cannot be read."""
    match = _NAMED.fullmatch(text)
    name, body = (match[1], match[2]) if match else (None, text)
    rows = _ROWS.fullmatch(body)
    if rows is None:
        value = expression(body.strip())
        return name, None if value is None else [(value, sympy.Reals)]
    pieces: Pieces = []
    letters: set[str] = set()
    for row in filter(str.strip, re.split(r"\\\\", rows[1])):
        cells = [cell.strip(" ,.") for cell in row.split("&")]
        value = expression(cells[0]) if len(cells) == 2 else None
        earlier = sympy.Union(*(part for _, part in pieces))
        here = (
            sympy.Reals
            if _OTHERWISE.fullmatch(cells[-1])
            else as_set(parse(_TALK.sub(" ", cells[-1]).strip()))
        )
        if value is None or here is None:
            return name, None
        pieces.append((value, here - earlier))
        letters |= set(_LETTER.findall(_TALK.sub(" ", cells[-1])))
    symbols = {str(symbol) for value, _ in pieces for symbol in value.free_symbols}
    if len(letters) > 1 or (letters and symbols and letters != symbols):
        return name, None  # conditions on another variable
    return name, pieces


def _points(numbers: Any) -> Iterator[Any]:
    """Some of the numbers: all single ones and closed ends, and some within each interval."""
    if isinstance(numbers, sympy.Union):
        for part in numbers.args:
            yield from _points(part)
    elif isinstance(numbers, sympy.FiniteSet):
        yield from numbers
    elif isinstance(numbers, sympy.Interval):
        low, high = numbers.start, numbers.end
        if low.is_finite and high.is_finite:
            near = [low + (high - low) * step / 200 for step in _STEPS]
        else:
            near = [low + step for step in _STEPS if low.is_finite]
            near += [high - step for step in _STEPS if high.is_finite]
            near += [sign * step for step in _STEPS for sign in (1, -1)]
        yield from (point for point in (low, high, *near) if point in numbers)
    elif numbers is sympy.Reals:
        yield from (sign * step for step in (sympy.Integer(0), *_STEPS) for sign in (1, -1))
