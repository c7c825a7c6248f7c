r"""Are two single values equal? Numbers exactly, expressions at many points.

Parsing is math-verify's (latex2sympy2_extended). Its own comparison rounds to six decimals and
takes 9 for 9 %; here decimals are fractions, so a rounding is another number, and expressions are
equal when they agree, to 40 digits, wherever both are defined. That an identity holds at all of
these points without being one has probability zero; simplification can fail or never end.

Run it in the guarded worker (`runtime/worker.py`): `9^{9^{9^9}}` is a legal expression.
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

from rlsc.grading.equality.spelling import prepare
from rlsc.grading.notation.normalise import closing
from rlsc.grading.notation.numbers import number

DIGITS = 50
_TOLERANCE = mpmath.mpf(10) ** -40
_ZERO = mpmath.mpf(10) ** -60
_MOST_DIGITS = 20_000
_INTEGER_NAMES = set("ijklmnpqrdKMN")
_ROUNDING = (sympy.floor, sympy.ceiling, sympy.Mod)
_WHOLE = (sympy.factorial, sympy.binomial)

# Words within a value, angles by name, minutes of arc, vector operators: no number stands here.
_UNREADABLE = re.compile(r"\\text|\\angle|\\triangle|\d\s*'|\\nabla|\\mid(?![a-z])|°")


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> Any | None:
    """The sympy expression of `text`; None where it does not parse."""
    exact = number(text)
    if exact is not None:
        return sympy.Rational(exact.numerator, exact.denominator)
    if not text or len(text) > 600:
        return None
    config = ConversionConfig(lowercase_symbols=False)
    prepared = prepare(text).strip()
    if _UNREADABLE.search(prepared):
        return None
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
    parsed = parsed.replace(_is_odd_root, lambda p: -((-p.base) ** p.exp))  # ∛−8 = −2
    return parsed.subs({sympy.Symbol("i"): sympy.I, sympy.Symbol("e"): sympy.E})


def _is_odd_root(part: Any) -> bool:
    return bool(
        part.is_Pow
        and part.base.is_number
        and part.base.is_negative
        and part.exp.is_Rational
        and part.exp.p == 1
        and part.exp.q % 2 == 1
        and part.exp.q > 1
    )


def _named(part: Any) -> Any:
    return sympy.Symbol("F_" + re.sub(r"[^A-Za-z0-9]", "", str(part)))


@functools.lru_cache(maxsize=1024)
def _call(parsed: Any, symbols: tuple[Any, ...]) -> Callable[..., Any]:
    return sympy.lambdify(symbols, parsed, modules="mpmath")


def equal_values(first: str, second: str) -> bool | None:
    """Whether two atoms are one value; None where one of them is no expression."""
    return _equal_values(*sorted((first, second)))


@functools.lru_cache(maxsize=4096)
def _equal_values(first: str, second: str) -> bool | None:
    """Kept, since of several answers each is compared with each, in both directions."""
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
        if not left.free_symbols and not right.free_symbols:
            return _safely(lambda: _equal_constants(left, right), False)
        return _safely(lambda: all(_close(a, b) for a, b in _evaluate(left, right)), False)


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
    return _safely(lambda: list(_evaluate(left, right)), [])


def _safely(compute: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return compute()
    except (MemoryError, RecursionError):
        raise  # a limit was reached: the worker reports it
    except Exception:  # sympy raises many kinds; what has no value equals nothing
        return otherwise


def _constant(part: Any) -> Any:
    return mpmath.mpmathify(part.evalf(DIGITS))


def within(first: str, second: str, tolerance: float) -> bool:
    """Whether two constants agree within a relative `tolerance` of the first."""
    left, right = expression(first), expression(second)
    if left is None or right is None or left.free_symbols or right.free_symbols:
        return False
    with mpmath.workdps(DIGITS):
        a, b = (_safely(functools.partial(_constant, part), None) for part in (left, right))
        if a is None or b is None or not (mpmath.isfinite(a) and mpmath.isfinite(b)):
            return False
        # A hair wider than asked, so that 1.01 is within 1 % of 1 in floating point too.
        return bool(abs(a - b) <= tolerance * abs(a) * (1 + 1e-9))


def _close(a: Any, b: Any) -> bool:
    """Relatively, so that e^{-100} is not e^{-101}; beside 0 alone absolutely."""
    size = max(abs(a), abs(b)) if a != 0 and b != 0 else 1
    return bool(abs(a - b) <= _TOLERANCE * size)


def _equal_constants(left: Any, right: Any) -> bool:
    """Two values without names, to digits enough to tell 2^{1009} from 2^{1009} + 1."""
    values = [part.evalf(DIGITS) for part in (left, right)]
    if not all(value.is_finite for value in values):
        return bool(values[0] == values[1])
    a, b = map(mpmath.mpmathify, values)
    if a == 0 or b == 0:
        return bool(abs(a - b) <= _ZERO)
    if not _close(a, b):
        return False
    digits = int(mpmath.log10(max(abs(a), abs(b))))
    if digits < 8:
        return True
    if digits > _MOST_DIGITS:
        return False
    with mpmath.workdps(digits + DIGITS):
        a, b = (mpmath.mpmathify(part.evalf(digits + DIGITS)) for part in (left, right))
        return bool(abs(a - b) <= _TOLERANCE)


def _evaluate(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    """Values of both at common points; at least one of the two has symbols."""
    left, right = (
        part.doit() if part.has(sympy.Sum, sympy.Product) else part for part in (left, right)
    )
    symbols = tuple(sorted(left.free_symbols | right.free_symbols, key=str))
    roots = _has_roots(left) or _has_roots(right)
    functions = _call(left, symbols), _call(right, symbols)
    defined = 0
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
        defined += 1
        yield a, b
    if defined < 3:
        yield mpmath.mpf(0), mpmath.mpf(1)


def _has_roots(part: Any) -> bool:
    """Roots or logarithms of names, and no absolute value."""
    if part.has(sympy.Abs):
        return False
    powers = (p for p in part.atoms(sympy.Pow) if p.base.free_symbols)
    logs = (log for log in part.atoms(sympy.log) if log.free_symbols)
    return any(p.exp.is_Rational and not p.exp.is_Integer for p in powers) or any(logs)


def _is_complex(value: Any) -> bool:
    return bool(abs(mpmath.im(value)) > _TOLERANCE)


def _integers_only(*parts: Any) -> bool:
    """⌊(n + 1)/2⌋ and ⌈n/2⌉ agree at integers alone; so do formulas with (−1)^n.

    Only names that stand for integers count: ⌊x⌋ is not x.
    """
    names = {str(symbol)[0] for part in parts for symbol in part.free_symbols}
    if not names <= _INTEGER_NAMES:
        return False
    for part in parts:
        if part.has(*_ROUNDING) or (part.has(*_WHOLE) and part.free_symbols):
            return True
        for power in part.atoms(sympy.Pow):
            if power.exp.free_symbols and power.base.is_negative:
                return True
    return False


@functools.lru_cache(maxsize=64)
def _points(dimension: int, integers: bool) -> list[tuple[list[Any], bool]]:
    """Fixed points to `DIGITS` digits, with whether all coordinates are positive."""
    with mpmath.workdps(DIGITS):
        return list(_spread(dimension, integers))


def _spread(dimension: int, integers: bool) -> Iterator[tuple[list[Any], bool]]:
    if integers:
        for shift in (*range(2, 14), 31, 64, 101):
            yield (
                [mpmath.mpf(shift + 3 * index + shift * index % 5) for index in range(dimension)],
                True,
            )
        return
    for seed in range(1, 12):
        positive = seed <= 4 or seed > 8
        point = []
        for index in range(dimension):
            # Fractional parts of multiples of √2 and √3: spread, and no nice numbers.
            part = mpmath.frac(mpmath.sqrt(2) * (seed * 7 + index * 3) + mpmath.sqrt(3) * index)
            value = mpmath.mpf("0.3") + (2 if seed <= 8 else 20) * part
            point.append(value if positive or (seed + index) % 2 else -value)
        yield point, positive
