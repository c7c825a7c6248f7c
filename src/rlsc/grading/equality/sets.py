r"""Sets of real numbers: intervals, inequalities, unions, ``\mathbb{R} \setminus \{2\}``."""

from __future__ import annotations

from typing import Any

import sympy

from rlsc.grading.equality.forms import Atom, Form, Many, Relation, Tuple, Union, parse
from rlsc.grading.equality.values import expression

_REALS = {r"\mathbb{R}", "R", r"\R", r"\text{all real numbers}", "all real numbers"}


def as_set(form: Form) -> Any | None:
    """The sympy set that `form` stands for; None where it is none with real numbers for ends."""
    try:
        return _as_set(form)
    except (TypeError, ValueError, NotImplementedError):  # ends that sympy cannot order
        return None


def _as_set(form: Form) -> Any | None:
    if isinstance(form, Tuple) and len(form.items) == 2:
        ends = [_real(item) for item in form.items]
        if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
            return None
        return sympy.Interval(*ends, form.opening == "(", form.ending == ")")
    if isinstance(form, Union):
        parts = [_member_set(item) for item in form.items]
        if any(part is None for part in parts):
            return None
        return parts[0] - sympy.Union(*parts[1:]) if form.minus else sympy.Union(*parts)
    if isinstance(form, Many):
        if any(isinstance(item, Tuple | Union) for item in form.items):
            return None  # (2, 32), (8, 18) are two points
        relations = [item for item in form.items if isinstance(item, Relation)]
        if not (relations or form.braced) or len({_variable(item) for item in relations}) > 1:
            return None  # bare values are compared one by one, as are x = 1, y = 2
        bounds = any(relation.signs != ("=",) for relation in relations)
        if form.joined and bounds and len(relations) == len(form.items):
            halves = [_as_set(item) for item in relations]
            return None if None in halves else sympy.Intersection(*halves)
        parts = [_member_set(item) for item in form.items]
        return None if any(part is None for part in parts) else sympy.Union(*parts)
    if isinstance(form, Relation):
        return _inequality(form)
    if isinstance(form, Atom) and form.text in _REALS:
        return sympy.Reals
    return None


def _member_set(form: Form) -> Any | None:
    members = _as_set(form)
    if members is not None:
        return members
    value = _real(form)
    return None if value is None else sympy.FiniteSet(value)


def _variable(relation: Relation) -> str | None:
    return next((side for side in relation.sides if _is_variable(side)), None)


def _inequality(relation: Relation) -> Any | None:
    """``x > 3``, ``3 < x \\le 4``, ``x \\ne 2``, of one bare variable."""
    if any(sign not in ("<", ">", "<=", ">=", "!=", "=") for sign in relation.signs):
        return None
    middle = [i for i, side in enumerate(relation.sides) if _is_variable(side)]
    if not middle:
        return _distance(relation)
    if len(middle) != 1:
        return None
    result: Any = sympy.Reals
    for index, sign in enumerate(relation.signs):
        if middle[0] not in (index, index + 1):
            return None
        other = _real(parse(relation.sides[index + 1 if middle[0] == index else index]))
        if other is None:
            return None
        if middle[0] != index:
            sign = _FLIPPED[sign]
        result = sympy.Intersection(result, _half_line(sign, other))
    return result


def _distance(relation: Relation) -> Any | None:
    r"""``|x| \ge 2``; of |x − 1| < 3 it is not known whether that is the task again, unsolved."""
    parts = map(expression, relation.sides)
    sizes = [isinstance(part, sympy.Abs) and bool(part.args[0].is_Symbol) for part in parts]
    if len(sizes) != 2 or sum(sizes) != 1 or relation.signs[0] in ("=", "!="):
        return None  # |x| = 2 is the task again
    place = sizes.index(True)
    end = _real(parse(relation.sides[1 - place]))
    if end is None:
        return None
    size = _half_line(relation.signs[0] if place == 0 else _FLIPPED[relation.signs[0]], end)
    size = sympy.Intersection(size, sympy.Interval(0, sympy.oo))
    return sympy.Union(size, sympy.imageset(lambda value: -value, size))


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def _half_line(sign: str, end: Any) -> Any:
    if sign == "=":
        return sympy.FiniteSet(end)
    if sign == "!=":
        return sympy.Reals - sympy.FiniteSet(end)
    if sign.startswith("<"):
        return sympy.Interval(-sympy.oo, end, True, sign == "<")
    return sympy.Interval(end, sympy.oo, sign == ">", True)


def _is_variable(text: str) -> bool:
    value = expression(text)
    return value is not None and value.is_Symbol


def _real(form: Form) -> Any | None:
    if not isinstance(form, Atom):
        return None
    value = expression(form.text)
    if value is None or value.free_symbols:
        return None
    value = sympy.nsimplify(value.doit()) if value.is_number and value.is_Rational else value.doit()
    return value if value.is_extended_real else None
