r"""Are two single values equal? Numbers exactly, expressions at many points.

Parsing is math-verify's (latex2sympy2_extended). Its own comparison rounds to six decimals and
takes 9 for 9 %; here decimals are fractions, so a rounding is another number, and expressions are
equal when they agree, to 30 digits, wherever both are defined. That an identity holds at all of
these points without being one has probability zero; simplification can fail or never end.

Run it in the guarded worker (`worker.py`): `9^{9^{9^9}}` is a legal expression.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from sympy.core.function import AppliedUndef

from rlsc.grading.normalise import closing
from rlsc.grading.numbers import MIXED, number

DIGITS = 50
_TOLERANCE = mpmath.mpf(10) ** -30
_ROUNDING = (sympy.floor, sympy.ceiling, sympy.Mod)
_WHOLE = (sympy.factorial, sympy.binomial)

_DECIMAL = re.compile(r"(?<![\w.])(\d*)\.(\d+)(?![\w.])|(?<![\w.])(\d+)\.(\d*)")
_DERIVATIVE = re.compile(
    r"\\frac\{\s*d\s*(?:\^\s*\{?(\d)\}?\s*)?(\\?[A-Za-z]+(?:_\{?\w+\}?)?)\s*\}"
    r"\{\s*d\s*([A-Za-z])\s*(?:\^\s*\{?\d\}?)?\s*\}"
)
_DOT = re.compile(r"\\(d?)dot\s*\{\s*(\\?[A-Za-z]+)\s*\}(_\{?\w+\}?)?")
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


def _alias(match: re.Match[str]) -> str:
    name, letter, index, digit = match.groups()
    return f"{{A_{{{name or 'letter' + letter}{index or digit or ''}}}}}"


def _prepare(text: str) -> str:
    """What latex2sympy reads wrongly, in a spelling that it reads rightly."""

    def decimal(match: re.Match[str]) -> str:
        whole, part = (match[1], match[2]) if match[2] is not None else (match[3], match[4])
        return rf"\frac{{{int((whole or '0') + part)}}}{{{10 ** len(part)}}}"

    def derived(name: str, order: int, index: str = "") -> str:
        return f"D_{{{_NAME_PARTS.sub('', name + index)}d{order}}} "

    # 1/3 π is a third of π.
    text = re.sub(r"(?<![\w}.])(\d+)\s*/\s*(\d+)(?=\s*[\\A-Za-z(])", r"\\frac{\1}{\2}", text)
    text = _DERIVATIVE.sub(lambda m: derived(m[2], int(m[1] or 1)), text)
    text = _DOT.sub(lambda m: derived(m[2], 2 if m[1] else 1, m[3] or ""), text)
    text = _PRIME.sub(
        lambda m: derived(m[1], (m[2] or "").count("prime") or len(m[3] or "") or 1), text
    )
    text = re.sub(r"(?<=\d)\s*(?=\\frac\{\d+\}\{\d+\})", "+", text) if MIXED.match(text) else text
    text = re.sub(r"_([A-Za-z0-9])(?=[A-Za-z0-9])", r"_{\1} ", text)
    text = _RESERVED.sub(_alias, text)
    text = (
        text.replace(r"\hbar", "h_{bar}")
        .replace(r"\odot", "odot")
        .replace("°", "")
        .replace(r"\ast", r"\cdot")
    )
    text = re.sub(r"\s*([_^])\s*", r"\1", text)
    text = re.sub(r"_\{\s*\\text\s*\{\s*(\w+)\s*\}\s*\}", r"_{\1}", text)
    text = re.sub(r"\\text\s*\{\s*(\w+)\s*\}", r"\1", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    # \log n of one name or number: braces keep the parser from taking too much or too little.
    text = re.sub(r"(\\(?:log|ln)(?:_\{?\w+\}?)?)\s+([A-Za-z]|\d+)(?![\w({])", r"\1{\2}", text)
    return _DECIMAL.sub(decimal, text)


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> Any | None:
    """The sympy expression of `text`; None where it does not parse."""
    exact = number(text)
    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    if not text or len(text) > 600:
        return None
    config = ConversionConfig(lowercase_symbols=False)
    prepared = _prepare(text).strip()
    while prepared.startswith("{") and closing(prepared, 0) == len(prepared) - 1:
        prepared = prepared[1:-1]
    try:
        parsed = latex2sympy(prepared, conversion_config=config, normalization_config=None)
    except Exception:  # the parser raises plain Exception for whatever it does not understand
        return None
    if not isinstance(parsed, sympy.Expr):
        return None
    return _plain_symbols(parsed)


def _plain_symbols(parsed: Any) -> Any:
    """Unknown functions and derivatives become symbols; i and e the constants that they are."""
    parsed = parsed.replace(lambda part: isinstance(part, AppliedUndef), lambda part: _named(part))
    parsed = parsed.replace(lambda part: isinstance(part, sympy.Derivative), lambda p: _named(p))
    return parsed.subs({sympy.Symbol("i"): sympy.I, sympy.Symbol("e"): sympy.E})


def _named(part: Any) -> Any:
    return sympy.Symbol("F_" + _NAME_PARTS.sub("", str(part)))


def _call(parsed: Any, symbols: tuple[Any, ...]) -> Callable[..., Any]:
    return sympy.lambdify(symbols, parsed, modules="mpmath")


def equal_values(first: str, second: str) -> bool | None:
    """Whether two atoms are one value; None where one of them is no expression."""
    a, b = number(first), number(second)
    if a is not None and b is not None:
        return a == b
    left, right = expression(first), expression(second)
    if left is None or right is None:
        return None
    return equal_expressions(left, right)


def equal_expressions(left: Any, right: Any) -> bool:
    """Equal wherever both are defined, at no fewer than three points."""
    with mpmath.workdps(DIGITS):
        values = _values(left, right)
        return len(values) > 0 and all(_close(a, b) for a, b in values)


def proportional(left: Any, right: Any) -> Any | None:
    """The constant c with left = c · right at all points; None if there is none."""
    with mpmath.workdps(DIGITS):
        values = _values(left, right)
        nonzero = [(a, b) for a, b in values if abs(b) > _TOLERANCE]
        if not nonzero:
            return None
        ratio = nonzero[0][0] / nonzero[0][1]
        if abs(ratio) < _TOLERANCE:
            return None
        return ratio if all(_close(a, ratio * b) for a, b in values) else None


def _values(left: Any, right: Any) -> list[tuple[Any, Any]]:
    """Of both, at common points; none where sympy cannot evaluate one of them."""
    try:
        return list(_evaluate(left, right))
    except (MemoryError, RecursionError):
        raise  # a limit was reached: the worker reports it
    except Exception:  # sympy raises many kinds; what has no value equals nothing
        return []


def _close(a: Any, b: Any) -> bool:
    return bool(abs(a - b) <= _TOLERANCE * max(1, abs(a), abs(b)))


def _evaluate(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    """Values of both at common points; without symbols, the one value of each."""
    left, right = (
        part.doit() if part.has(sympy.Sum, sympy.Product) else part for part in (left, right)
    )
    symbols = tuple(sorted(left.free_symbols | right.free_symbols, key=str))
    if not symbols:
        values = [part.evalf(DIGITS) for part in (left, right)]
        if all(value.is_finite for value in values):
            yield mpmath.mpmathify(values[0]), mpmath.mpmathify(values[1])
        else:
            yield mpmath.mpf(0), mpmath.mpf(0 if values[0] == values[1] else 1)
        return
    roots = _has_roots(left) or _has_roots(right)
    functions = _call(left, symbols), _call(right, symbols)
    found = 0
    for point, real in _points(len(symbols), _integers_only(left, right)):
        try:
            a, b = (mpmath.mpmathify(function(*point)) for function in functions)
        except (ArithmeticError, ValueError, TypeError):
            continue
        if not (mpmath.isfinite(a) and mpmath.isfinite(b)):
            continue
        imaginary = left.has(sympy.I) or right.has(sympy.I)
        if not real and roots:
            continue  # √(r²) is r: under a root or logarithm, names stand for positive numbers
        if not real and not imaginary and (_is_complex(a) or _is_complex(b)):
            continue
        found += 1
        yield a, b
    if found < 3:
        yield mpmath.mpf(0), mpmath.mpf(1)


def _has_roots(part: Any) -> bool:
    """Roots or logarithms of names, and no absolute value."""
    if part.has(sympy.Abs):
        return False
    powers = (p for p in part.atoms(sympy.Pow) if p.base.free_symbols)
    logs = (one for one in part.atoms(sympy.log) if one.free_symbols)
    return any(p.exp.is_Rational and not p.exp.is_Integer for p in powers) or any(logs)


def _is_complex(value: Any) -> bool:
    return bool(abs(mpmath.im(value)) > _TOLERANCE)


def _integers_only(*parts: Any) -> bool:
    """⌊(n + 1)/2⌋ and ⌈n/2⌉ agree at integers alone; so do formulas with (−1)^n."""
    for part in parts:
        if part.has(*_ROUNDING) or (part.has(*_WHOLE) and part.free_symbols):
            return True
        for power in part.atoms(sympy.Pow):
            if power.exp.free_symbols and power.base.is_negative:
                return True
    return False


def _points(dimension: int, integers: bool) -> Iterator[tuple[list[Any], bool]]:
    """Fixed points, with whether all coordinates are positive."""
    if integers:
        for shift in range(2, 14):
            yield (
                [mpmath.mpf(shift + 3 * index + shift * index % 5) for index in range(dimension)],
                True,
            )
        return
    for seed in range(1, 9):
        positive = seed <= 4
        point = []
        for index in range(dimension):
            # Fractional parts of multiples of √2 and √3: spread, and no nice numbers.
            part = mpmath.frac(mpmath.sqrt(2) * (seed * 7 + index * 3) + mpmath.sqrt(3) * index)
            value = mpmath.mpf("0.3") + 2 * part
            point.append(value if positive or (seed + index) % 2 else -value)
        yield point, positive
