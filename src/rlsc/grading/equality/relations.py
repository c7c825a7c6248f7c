"""Equations and inequalities: what they define, and when two of them are one."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import sympy

from rlsc.grading.equality.forms import Atom, Form, Many, Relation, Tuple, parse
from rlsc.grading.equality.values import expression, proportional

_NAME = re.compile(
    r"(?:\\?[A-Za-z]+'*|\\angle\s*[A-Za-z ]+|\\text\s*\{[^{}]*\}|[A-Z]{1,4})"
    r"(?:_(?:\w|\{[^{}]*\})|\^\{?(?:\*|\\ast)\}?)?(?:\s*\([-A-Za-z0-9, ]+\))?"
)


_CHANGE = re.compile(r"^\\(?:Delta|delta)\s*(?=\\?[A-Za-z])")  # of \Delta p


def is_name(text: str) -> bool:
    r"""x, f(x), m_{\max}, \angle ABC, AB: what a definition has on its left."""
    text = text.strip().replace(" _", "_")
    text = _CHANGE.sub("", text)
    return text not in (r"\pi", "e") and bool(_NAME.fullmatch(text))


def is_definition(relation: Relation) -> bool:
    """`x = 5`, `f(x) = 2x`, `(x, y) = (1, 2)`: the right side is the answer."""
    left = relation.sides[0].strip()
    names = left[1:-1].split(",") if left.startswith("(") and left.endswith(")") else [left]
    return set(relation.signs) == {"="} and (all(map(is_name, names)) or left.startswith(r"\angle"))


def before_rounding(relation: Relation) -> str | None:
    """3.1 of `v \\approx 3.1`, \\sqrt{2} of `v = \\sqrt{2} \\approx 1.41`; else None."""
    *equal, last = relation.signs
    if last != r"\approx" or set(equal) - {"="} or not is_name(relation.sides[0]):
        return None
    return relation.sides[-2] if equal else relation.sides[-1]


def says_value(left: str) -> bool:
    """Whether `left` = v says that the answer is v: not where it is a function of one unknown."""
    if is_name(left):
        return True
    value = expression(left)
    if value is None or len(value.free_symbols) != 1:
        return True
    roots = (p for p in value.atoms(sympy.Pow) if p.exp.free_symbols or not p.exp.is_Integer)
    return not value.is_rational_function(*value.free_symbols) and not any(roots)


def named(items: Sequence[Form]) -> list[Relation]:
    """The items if all are definitions of different names, else none."""
    definitions = [item for item in items if isinstance(item, Relation) and is_definition(item)]
    return definitions if len(definitions) == len(items) and distinct_names(items) else []


def coordinates(items: Sequence[Form]) -> Sequence[Form]:
    """y = 1, x = 2 as the point (2, 1) has them; other names in the order that they stand in."""
    points = [item for item in items if isinstance(item, Relation)]
    if len(points) < len(items) or not {item.sides[0] for item in points} <= set("xyz"):
        return items
    return sorted(points, key=lambda item: item.sides[0])


def by_name(form: Form) -> Form:
    """(x, y) = (1, 2) as x = 1, y = 2."""
    if not (isinstance(form, Relation) and form.signs == ("=",)):
        return form
    names, values = map(parse, form.sides)
    if not (isinstance(names, Tuple) and isinstance(values, Tuple)):
        return form
    pairs = [
        Relation((name.text, value.text), ("=",))
        for name, value in zip(names.items, values.items, strict=False)
        if isinstance(name, Atom) and isinstance(value, Atom) and is_name(name.text)
    ]
    whole = len(pairs) == len(names.items) == len(values.items) and distinct_names(pairs)
    return Many(tuple(pairs)) if whole and names.opening == "(" else form


def variable(name: str) -> str | None:
    """The argument of f(x); x for y, the usual name of a function of x; else None."""
    if name == "y":
        return "x"
    inside = re.fullmatch(r"\\?[A-Za-z]+'*\s*\(([A-Za-z])\)", name)
    return inside.group(1) if inside else None


def renamed(text: str, old: str, new: str) -> str | None:
    """`text` with another variable; None where it holds that one already, as a constant."""
    if old != new and re.search(rf"(?<![\\A-Za-z]){new}(?![A-Za-z])", text):
        return None
    return text if old == new else re.sub(rf"(?<![\\A-Za-z]){old}(?![A-Za-z])", new, text)


def distinct_names(items: Sequence[Form]) -> bool:
    """`x = 2, y = 4` gives a point; `x = 2 or x = 4` gives two solutions."""
    names = [item.sides[0] for item in items if isinstance(item, Relation)]
    return len(set(names)) == len(names)


@functools.lru_cache(maxsize=1024)
def _difference(left: str, right: str) -> Any | None:
    a, b = expression(left), expression(right)
    return None if a is None or b is None else a - b


def equal_equations(gold: Relation, answer: Relation) -> bool:
    """5x = 4 − y and 10x + 2y = 8 are one equation: their differences are proportional."""
    left, right = _difference(*gold.sides[:2]), _difference(*answer.sides[:2])
    if left is None or right is None:
        return False
    if not left.free_symbols or not right.free_symbols:
        return False
    return proportional(left, right) is not None


def same_inequality(gold: Relation, answer: Relation) -> bool:
    left, right = _difference(*gold.sides), _difference(*answer.sides)
    if left is None or right is None:
        return False
    ratio = proportional(left, right)
    if ratio is None or abs(ratio.imag) > 1e-20:
        return False
    flip = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    sign = answer.signs[0] if ratio.real > 0 else flip.get(answer.signs[0], answer.signs[0])
    return gold.signs[0] == sign
